// Kernels that do nothing: the base of those that count what a model asks for.
#pragma once

#include <algorithm>

#include "core/kernels/kernels.h"

namespace dalle1 {

/// Outputs keep what they hold; every token drawn is 0, every sum is 0 and every value finite. What Kernels
/// composes of other methods calls these.
class IdleKernels : public Kernels {
 public:
  double sum_squares(std::span<const Tensor>) override { return 0; }
  bool all_finite(const Tensor&) override { return true; }
  Layout preferred_layout(int64_t) const override { return Layout::plain; }
  void linear(const LinearArguments&) override {}
  void conv2d(const Conv2dArguments&) override {}
  void attention(const AttentionArguments&) override {}
  void cached_attention(const Tensor&, const CachedAttention&, float, Tensor&) override {}
  void sample(const SampleArguments& a) override {
    std::fill(a.tokens.begin(), a.tokens.end(), 0);
    std::fill(a.log_probs.begin(), a.log_probs.end(), 0.0f);
  }
  void unary(Unary, const Tensor&, Tensor&) override {}
  void unary_backward(Unary, const Tensor&, const Tensor&, Tensor&) override {}
  void binary(Binary, const Tensor&, const Tensor&, Tensor&) override {}
  void affine(const Tensor&, float, float, Tensor&) override {}
  void add_scaled(const Tensor&, float, Tensor&) override {}
  void greater_equal(const Tensor&, const Tensor&, Tensor&) override {}
  void fill(Tensor&, float) override {}
  void cast(const Tensor&, Tensor&) override {}
  void strided_copy(const StridedCopy&, const Tensor&, Tensor&) override {}
  void sum_to(const Tensor&, Tensor&) override {}
  void max_last(const Tensor&, Tensor&, Tensor&) override {}
  void reorder(const Tensor&, Tensor&) override {}
  void matmul(const Tensor&, const Tensor&, const MatmulOptions&, Tensor&) override {}
  void conv2d_backward_data(const Tensor&, const Tensor&, const Conv2dGeometry&, Tensor&) override {}
  void conv2d_backward_weights(const Conv2dWeightsBackward&) override {}
  void max_pool(const Tensor&, Tensor&) override {}
  void max_pool_backward(const Tensor&, const Tensor&, Tensor&) override {}
  void avg_pool(const Tensor&, int, Tensor&) override {}
  void avg_pool_backward(const Tensor&, int, Tensor&) override {}
  void upsample(const Tensor&, Tensor&) override {}
  void upsample_backward(const Tensor&, Tensor&) override {}
  void layer_norm(const LayerNormArguments&) override {}
  void layer_norm_backward(const NormBackward&) override {}
  void rms_norm(const Tensor&, const RmsNormRuns&, Tensor&) override {}
  void rms_norm_backward(const Tensor&, const Tensor&, const RmsNormRuns&, Tensor&) override {}
  void rotate(const Tensor&, const RotaryTurn&, Tensor&) override {}
  void group_norm(const GroupNormArguments&) override {}
  void group_norm_backward(const NormBackward&) override {}
  void softmax(const Tensor&, Tensor&) override {}
  void softmax_backward(const Tensor&, const Tensor&, Tensor&) override {}
  void cross_entropy(const Tensor&, const Tensor&, Tensor&, Tensor&) override {}
  void cross_entropy_backward(const CrossEntropyBackward&) override {}
  void embedding(const Tensor&, const Tensor&, Tensor&) override {}
  void embedding_backward(const Tensor&, const Tensor&, Tensor&) override {}
  void uniform(const UniformDraw&, Tensor&) override {}
  void attention_backward(const AttentionBackward&) override {}
  void cache_store(const Tensor&, int64_t, Tensor&) override {}
  void adamw(const AdamWArguments&) override {}
  void lerp(const Tensor&, float, Tensor&) override {}
};

}  // namespace dalle1
