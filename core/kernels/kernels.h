// What a backend computes: the one interface between ops, which check shapes and know the gradients, and
// devices. An op whose tensors and numbers do not tell themselves apart by their order takes them as one
// struct of core/kernels/arguments.h, which also says their shapes.
//
// Rules for every kernel: inputs are checked and outputs allocated by the op; outputs are fully written
// unless the comment says "adds"; tensors are plain and f32 unless said otherwise (CUDA kernels also take
// bf16 activations); results do not depend on the number of threads, but for the two sums of training that
// oneDNN divides among its threads: matmul and conv2d_backward_weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/arguments.h"
#include "core/kernels/int8_weights.h"
#include "core/random/philox.h"

namespace dalle1 {

class Kernels {
 public:
  virtual ~Kernels() = default;

  // --- elementwise; same layout everywhere, any layout -----------------------------------------------------
  virtual void unary(Unary op, const Tensor& x, Tensor& y) = 0;
  /// dx = dy * op'(x).
  virtual void unary_backward(Unary op, const Tensor& x, const Tensor& dy, Tensor& dx) = 0;
  /// y = a op b with NumPy broadcasting (plain), or the same shape and layout.
  virtual void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) = 0;
  /// y = scale * x + shift.
  virtual void affine(const Tensor& x, float scale, float shift, Tensor& y) = 0;
  /// y += scale * x.
  virtual void add_scaled(const Tensor& x, float scale, Tensor& y) = 0;
  /// mask = 1 where x >= y else 0, same shape (the gradient of max).
  virtual void greater_equal(const Tensor& x, const Tensor& y, Tensor& mask) = 0;
  virtual void fill(Tensor& y, float value) = 0;
  /// Copies with rounding between f32, f16, bf16.
  virtual void cast(const Tensor& x, Tensor& y) = 0;

  // --- movement and reduction ------------------------------------------------------------------------------
  /// y[offset_y + i . strides_y] = x[offset_x + i . strides_x] for every index i below extents (up to 6 axes;
  /// strides in elements; any dtype). With `accumulate`, adds (f32).
  struct StridedCopy {
    std::vector<int64_t> extents, strides_x, strides_y;
    int64_t offset_x = 0, offset_y = 0;
    bool accumulate = false;
  };
  virtual void strided_copy(const StridedCopy& copy, const Tensor& x, Tensor& y) = 0;
  /// Sums x over the axes in which y has extent 1 (shapes of equal rank).
  virtual void sum_to(const Tensor& x, Tensor& y) = 0;
  /// Largest value over the last axis and its first index: x [R, V], values f32 [R], indices i64 [R].
  virtual void max_last(const Tensor& x, Tensor& values, Tensor& indices) = 0;
  /// Sum of the squares of all tensors in double, the same for any number of threads; one wait for all.
  virtual double sum_squares(std::span<const Tensor> tensors) = 0;
  /// Whether every value is finite.
  virtual bool all_finite(const Tensor& x) = 0;
  /// Changes the layout of a [B, C, H, W] tensor; padding channels are zero.
  virtual void reorder(const Tensor& x, Tensor& y) = 0;

  // --- products --------------------------------------------------------------------------------------------
  /// y = x w^T + bias, w f32 (bf16 on CUDA). On the CPU each output is one chain of fused multiply-adds over
  /// k, so a row's bits do not depend on R or on threads. Inference.
  virtual void linear(const LinearArguments& a) = 0;
  /// Makes what linear() keeps of `w`, if anything.
  virtual void prepare_linear(const Tensor& w) {}
  /// linear() with an epilogue; by itself the plain composition.
  virtual void linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue);
  /// y = x w^T + bias as in linear(), in training: by itself matmul() and a sum. `compute`: see
  /// MatmulOptions.
  virtual void training_linear(const LinearArguments& a, DType compute);
  /// Weights q i8 [N, K], |q| <= 127, times scale f32 [N], as int8_linear() reads them. CPU alone.
  virtual Int8Weights pack_int8(const Tensor& q, const Tensor& scale);
  /// linear() with weights in eight bits: each row of x is rounded to 127 steps of its largest magnitude, the
  /// sums are exact. The bits depend neither on R nor on threads nor on the instruction set.
  virtual void int8_linear(const Tensor& x, const Int8Weights& w, const Tensor* bias, Tensor& y);
  /// y = op(a) op(b), batched over all leading axes: a [.., M, K], b [.., K, N] before transposition.
  /// Training: the fastest order of summation, which depends on the threads. With `accumulate`, adds.
  virtual void matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& y) = 0;

  // --- pictures: [B, C, H, W], plain or blocked ------------------------------------------------------------
  /// Layout in which convolutions with this many channels run fastest.
  virtual Layout preferred_layout(int64_t channels) const = 0;
  virtual void conv2d(const Conv2dArguments& a) = 0;
  virtual void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dGeometry& geometry,
                                    Tensor& dx) = 0;
  /// On the CPU bits may depend on the threads.
  virtual void conv2d_backward_weights(const Conv2dWeightsBackward& a) = 0;
  /// 2x2 windows of stride 2; odd borders are dropped. The first maximum takes the gradient.
  virtual void max_pool(const Tensor& x, Tensor& y) = 0;
  virtual void max_pool_backward(const Tensor& x, const Tensor& dy, Tensor& dx) = 0;
  /// k x k windows of stride k.
  virtual void avg_pool(const Tensor& x, int k, Tensor& y) = 0;
  virtual void avg_pool_backward(const Tensor& dy, int k, Tensor& dx) = 0;
  /// Nearest neighbour, factor 2.
  virtual void upsample(const Tensor& x, Tensor& y) = 0;
  virtual void upsample_backward(const Tensor& dy, Tensor& dx) = 0;

  // --- norms -----------------------------------------------------------------------------------------------
  /// Over the last axis.
  virtual void layer_norm(const LayerNormArguments& a) = 0;
  virtual void layer_norm_backward(const NormBackward& a) = 0;
  /// Each run divided by its root mean square; a row's other elements are copied. x, y [R, C].
  virtual void rms_norm(const Tensor& x, const RmsNormRuns& runs, Tensor& y) = 0;
  virtual void rms_norm_backward(const Tensor& x, const Tensor& dy, const RmsNormRuns& runs, Tensor& dx) = 0;
  /// Each run of D elements of row r is turned by row r % T of the table: element i and element i + D / 2 are
  /// a pair. A row's other elements are copied. x, y [R, C].
  virtual void rotate(const Tensor& x, const RotaryTurn& turn, Tensor& y) = 0;
  virtual void group_norm(const GroupNormArguments& a) = 0;
  virtual void group_norm_backward(const NormBackward& a) = 0;

  // --- softmax, loss, embedding ----------------------------------------------------------------------------
  /// Over the last axis: [R, V].
  virtual void softmax(const Tensor& x, Tensor& y) = 0;
  virtual void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) = 0;
  /// losses[r] = logsumexp(logits[r]) - logits[r, targets[r]]; logits [R, V], targets i64 [R]; also the
  /// logsumexp.
  virtual void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& losses,
                             Tensor& logsumexp) = 0;
  /// dlogits[r] = scale[r] * (softmax(logits[r]) - onehot(targets[r])).
  virtual void cross_entropy_backward(const CrossEntropyBackward& a) = 0;
  /// y[r] = table[ids[r]]; ids i64 [R], table [V, C], y [R, C]. Ids are checked against V.
  virtual void embedding(const Tensor& ids, const Tensor& table, Tensor& y) = 0;
  /// dtable[ids[r]] += dy[r], in order of r.
  virtual void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) = 0;

  // --- random ----------------------------------------------------------------------------------------------
  /// y[i] uniform in (0, 1], see unit_interval: word i % 4 of random_block(seed, stream, index, step, i / 4).
  virtual void uniform(const UniformDraw& draw, Tensor& y) = 0;

  // --- attention -------------------------------------------------------------------------------------------
  /// Time and memory follow the pattern's ones; no Tq x Tk buffer.
  virtual void attention(const AttentionArguments& a) = 0;
  virtual void attention_backward(const AttentionBackward& a) = 0;
  /// By themselves a split and the two above.
  virtual void self_attention(const SelfAttentionArguments& a);
  virtual void self_attention_backward(const SelfAttentionBackward& a);
  /// One new position of N candidates: q, y [N, H, D]. Keys are visited in order of position.
  virtual void cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) = 0;
  /// store [N, H, S, D] at `slot` = x [N, H, D].
  virtual void cache_store(const Tensor& x, int64_t slot, Tensor& store) = 0;

  /// A whole decoding step of one layer: stores the new keys and values in the cache, then attends. By itself
  /// the plain composition.
  virtual void attend_step(const StepArguments& a);

  // --- sampling and optimisation ---------------------------------------------------------------------------
  /// Draws tokens[n]; log_probs[n] = log softmax(logits[n])[token] at temperature 1 and without cuts.
  /// Error(model) on a NaN.
  virtual void sample(const SampleArguments& a) = 0;
  /// As sample(), for the cell and with forced tokens; log-probabilities are those of `own` [N, V], which
  /// differ from `logits` with guidance.
  virtual void sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell);
  /// cell [1] += 1.
  virtual void advance(Tensor& cell);
  /// parameter, m, v updated in place.
  virtual void adamw(const AdamWArguments& a) = 0;
  /// average = decay * average + (1 - decay) * x.
  virtual void lerp(const Tensor& x, float decay, Tensor& average) = 0;
};

}  // namespace dalle1
