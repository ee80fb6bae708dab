// The CPU backend. Each method lives in the file of its family in this folder.
#pragma once

#include "core/kernels/kernels.h"

namespace dalle1 {

class CpuKernels final : public Kernels {
 public:
  explicit CpuKernels(int threads);
  ~CpuKernels() override;

  void unary(Unary op, const Tensor& x, Tensor& y) override;
  void unary_backward(Unary op, const Tensor& x, const Tensor& dy, Tensor& dx) override;
  void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) override;
  void affine(const Tensor& x, float scale, float shift, Tensor& y) override;
  void add_scaled(const Tensor& x, float scale, Tensor& y) override;
  void greater_equal(const Tensor& x, const Tensor& y, Tensor& mask) override;
  void fill(Tensor& y, float value) override;
  void cast(const Tensor& x, Tensor& y) override;
  void strided_copy(const StridedCopy& copy, const Tensor& x, Tensor& y) override;
  void sum_to(const Tensor& x, Tensor& y) override;
  void max_last(const Tensor& x, Tensor& values, Tensor& indices) override;
  double sum_squares(std::span<const Tensor> tensors) override;
  bool all_finite(const Tensor& x) override;
  void reorder(const Tensor& x, Tensor& y) override;
  void linear(const LinearArguments& a) override;
  void prepare_linear(const Tensor& w) override;
  void training_linear(const LinearArguments& a, DType compute) override;
  Int8Weights pack_int8(const Tensor& q, const Tensor& scale) override;
  void int8_linear(const Tensor& x, const Int8Weights& w, const Tensor* bias, Tensor& y) override;
  void matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& y) override;
  Layout preferred_layout(int64_t channels) const override;
  void conv2d(const Conv2dArguments& a) override;
  void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dGeometry& geometry,
                            Tensor& dx) override;
  void conv2d_backward_weights(const Conv2dWeightsBackward& a) override;
  void max_pool(const Tensor& x, Tensor& y) override;
  void max_pool_backward(const Tensor& x, const Tensor& dy, Tensor& dx) override;
  void avg_pool(const Tensor& x, int k, Tensor& y) override;
  void avg_pool_backward(const Tensor& dy, int k, Tensor& dx) override;
  void upsample(const Tensor& x, Tensor& y) override;
  void upsample_backward(const Tensor& dy, Tensor& dx) override;
  void layer_norm(const LayerNormArguments& a) override;
  void layer_norm_backward(const NormBackward& a) override;
  void rms_norm(const Tensor& x, const RmsNormRuns& runs, Tensor& y) override;
  void rms_norm_backward(const Tensor& x, const Tensor& dy, const RmsNormRuns& runs, Tensor& dx) override;
  void rotate(const Tensor& x, const RotaryTurn& turn, Tensor& y) override;
  void group_norm(const GroupNormArguments& a) override;
  void group_norm_backward(const NormBackward& a) override;
  void softmax(const Tensor& x, Tensor& y) override;
  void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) override;
  void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& losses, Tensor& logsumexp) override;
  void cross_entropy_backward(const CrossEntropyBackward& a) override;
  void embedding(const Tensor& ids, const Tensor& table, Tensor& y) override;
  void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) override;
  void uniform(const UniformDraw& draw, Tensor& y) override;
  void attention(const AttentionArguments& a) override;
  void attention_backward(const AttentionBackward& a) override;
  void self_attention(const SelfAttentionArguments& a) override;
  void self_attention_backward(const SelfAttentionBackward& a) override;
  void cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) override;
  void cache_store(const Tensor& x, int64_t slot, Tensor& store) override;
  void attend_step(const StepArguments& a) override;
  void sample(const SampleArguments& a) override;
  void adamw(const AdamWArguments& a) override;
  void lerp(const Tensor& x, float decay, Tensor& average) override;

  /// Changes of layout so far: blocked networks make two an inference, and a test counts them.
  int64_t reorder_count() const;

  struct ConvolutionCache;  // oneDNN primitives by shape
  struct MatmulCache;       // the same for matmul
  struct AttentionPlans;    // tiles and masks by pattern
  struct AttentionHeads;    // where they lie

 private:
  void attend_sequences(const AttentionHeads& heads, const AttentionOptions& options);
  void attend_sequences_backward(const AttentionHeads& heads, const AttentionOptions& options);
  int threads_;
  std::unique_ptr<ConvolutionCache> convolutions_;
  static std::shared_ptr<MatmulCache> make_matmul_cache();
  static std::shared_ptr<AttentionPlans> make_attention_plans();
  std::shared_ptr<MatmulCache> matmuls_ = make_matmul_cache();
  std::shared_ptr<AttentionPlans> attention_plans_ = make_attention_plans();
};

}  // namespace dalle1
