// What ops and kernels are told besides tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/attention/attention_pattern.h"
#include "core/random/philox.h"
#include "core/tensor/tensor.h"

namespace dalle1 {

enum class Unary : uint8_t {
  relu,
  relu_squared,
  gelu,
  gelu_tanh,
  quick_gelu,
  silu,
  sigmoid,
  tanh,
  exp,
  log,
  sqrt,
  rsqrt,
  square,
  abs
};
enum class Binary : uint8_t { add, sub, mul, div, max };

/// Where the windows of a convolution lie, and what they are multiplied in.
struct Conv2dGeometry {
  int stride = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;  ///< Zero padding.
  DType compute = DType::f32;                                    ///< As in MatmulOptions.
};

/// What is done to a convolution's result: y = residual + gain * conv(x), then ReLU if set.
struct Conv2dEpilogue {
  const Tensor* residual = nullptr;  ///< Same shape and layout as y.
  float gain = 1.0f;
  bool relu = false;
};

/// y = op(a) op(b), and with `accumulate` what y was.
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false, accumulate = false;
  /// What a CPU multiplies its f32 operands in: bf16 (with sums in f32) only where Device::multiplies_bf16().
  /// A GPU multiplies in the operands' type.
  DType compute = DType::f32;
};

/// What is done to a product's result: y = residual + activation(x w^T + bias).
struct LinearEpilogue {
  std::optional<Unary> activation;
  const Tensor* residual = nullptr;  ///< Of y's shape and type.
};

struct LinearArguments {
  const Tensor& x;     ///< [R, K]
  const Tensor& w;     ///< [N, K]
  const Tensor* bias;  ///< [N] or null.
  Tensor& y;           ///< [R, N]
};

struct Conv2dArguments {
  const Tensor& x;
  const Tensor& w;     ///< [O, C, kh, kw] plain.
  const Tensor* bias;  ///< [O] or null.
  Conv2dGeometry geometry;
  Conv2dEpilogue epilogue;
  Tensor& y;
};
struct Conv2dWeightsBackward {
  const Tensor& x;
  const Tensor& dy;
  Conv2dGeometry geometry;
  Tensor& dw;
  Tensor* dbias;  ///< Or null.
};

/// x, y [R, C]; w, b [C]; mean, rstd [R].
struct LayerNormArguments {
  const Tensor &x, &w, &b;
  float epsilon;
  Tensor &y, &mean, &rstd;
};
/// Of group_norm: x, y [B, C, H, W] in one layout; mean, rstd [B, groups].
struct GroupNormArguments {
  const Tensor &x, &w, &b;
  int groups;
  float epsilon;
  Tensor &y, &mean, &rstd;
};
/// Of both norms.
struct NormBackward {
  const Tensor &x, &w, &mean, &rstd, &dy;
  Tensor &dx, &dw, &db;
};

/// Runs of `group` elements in the first `columns` of each row, over their root mean square.
struct RmsNormRuns {
  int64_t group = 0, columns = 0;
  float epsilon = 0;
};

/// How the first `columns` of a row turn, in runs of D.
struct RotaryTurn {
  const Tensor& table;  ///< f32 [T, D]: cosines and then sines of D / 2 angles.
  int64_t columns = 0;
  bool forward = true;  ///< Else back.
};

/// How a whole sequence attends.
struct AttentionOptions {
  AttentionPattern pattern;
  float scale = 1.0f;          ///< Of the scores.
  DType compute = DType::f32;  ///< Of its products, as in MatmulOptions.
};

/// Whole sequences: q [B, Tq, H, D], k, v [B, Tk, H, D], y like q, logsumexp [B, H, Tq].
struct AttentionArguments {
  const Tensor &q, &k, &v;
  const AttentionOptions& options;
  Tensor &y, &logsumexp;
};
struct AttentionBackward {
  const Tensor &q, &k, &v, &y, &logsumexp, &dy;
  const AttentionOptions& options;
  Tensor &dq, &dk, &dv;
};
/// Thirds q, k, v of qkv [B, T, 3 H D] where they lie: y [B, T, H D], logsumexp [B, H, T].
struct SelfAttentionArguments {
  const Tensor& qkv;
  const AttentionOptions& options;
  Tensor &y, &logsumexp;
};
struct SelfAttentionBackward {
  const Tensor &qkv, &y, &logsumexp, &dy;
  const AttentionOptions& options;
  Tensor& dqkv;
};

/// What each step of cached decoding sees, in device memory: work that was recorded once then serves every
/// step. Lists that repeat are shared.
struct DecodeSteps {
  Tensor lists;       ///< i32: rows of the prefix and slots of the store, list after list.
  Tensor steps;       ///< i32 [steps, 5]: begin and count of the prefix's rows in `lists`, begin and count of
                      ///< the slots, and the slot that the new key goes to.
  Tensor cell;        ///< i64 [1]: the grid cell of the step.
  int64_t first = 0;  ///< The cell of step 0.
};

/// One layer's keys and values in cached decoding. All candidates are at the same position (lockstep), so
/// which keys are visible is common to all: ranges of the shared prefix, then slots of the private store in
/// order of position.
struct CachedAttention {
  const Tensor* prefix_keys = nullptr;    ///< [H, P, D], shared by all candidates.
  const Tensor* prefix_values = nullptr;  ///< [H, P, D]
  std::span<const KeyRange> prefix;       ///< Visible rows of the prefix.
  const Tensor* keys = nullptr;           ///< [N, H, S, D], S slots per candidate; on the CPU f32 or bf16.
  const Tensor* values = nullptr;         ///< [N, H, S, D]
  std::span<const int32_t> slots;         ///< Visible slots, in order of position.
  const Tensor* key_scales = nullptr;     ///< f32 [N, H, S] where the store is u8: e4m3 times this.
  const Tensor* value_scales = nullptr;   ///< f32 [N, H, S]
  const DecodeSteps* steps = nullptr;     ///< If given, a device that records reads these, not the spans.
};

/// One new position of N candidates in one layer.
struct StepArguments {
  const Tensor& qkv;  ///< [N, 3 H D], thirds q, k, v.
  const CachedAttention& cache;
  int64_t slot;  ///< Of the new keys and values.
  float scale;
  Tensor& y;  ///< [N, H, D]
};

/// How a token is drawn from logits (see transformer/sampler.h for the rules of ties and cuts).
struct SamplingRule {
  float temperature = 1.0f;  ///< 0: greedy.
  int32_t top_k = 0;         ///< 0: off. Keeps every logit >= the k-th largest.
  float top_p = 1.0f;        ///< Drops tokens whose predecessors' cumulative probability already exceeds p.
};

/// One token a row: of logits [N, V] with random_block(seed, Stream::sampling, candidates[n], position, 0).
struct SampleArguments {
  const Tensor& logits;
  SamplingRule rule;
  uint64_t seed;
  std::span<const uint32_t> candidates;
  uint32_t position;
  std::span<int64_t> tokens;
  std::span<float> log_probs;  ///< Or empty.
};

/// The tokens of one grid cell for N candidates, all of it in device memory.
struct CellSampling {
  SamplingRule rule;
  uint64_t seed = 0;
  Tensor cell;        ///< i64 [1]
  Tensor candidates;  ///< i32 [N]: their numbers.
  Tensor forced;      ///< i64 [cells]: a token, or -1 where one is drawn.
  Tensor tokens;      ///< i64 [cells, N]; the row of the cell is written.
  Tensor log_probs;   ///< f32 [cells, N]; the row of the cell is written.
  Tensor newest;      ///< i64 [groups * N]: the tokens again, once for each group.
};

struct AdamW {
  float learning_rate = 1e-3f;
  float beta1 = 0.9f, beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;    ///< Decoupled (Loshchilov and Hutter 2019).
  float gradient_scale = 1.0f;  ///< Clipping and accumulation, applied to the gradient first.
  int64_t step = 1;             ///< From 1: bias correction.
};
struct AdamWArguments {
  AdamW options;
  const Tensor& gradient;
  Tensor &parameter, &m, &v;
};

struct CrossEntropyBackward {
  const Tensor& logits;     ///< [R, V]
  const Tensor& targets;    ///< i64 [R]
  const Tensor& logsumexp;  ///< [R], as of cross_entropy().
  const Tensor& scale;      ///< [R]
  Tensor& dlogits;
};

/// Which numbers of which stream; see random_block().
struct UniformDraw {
  uint64_t seed = 0;
  Stream stream = Stream::test;
  uint32_t index = 0, step = 0;
};

}  // namespace dalle1
