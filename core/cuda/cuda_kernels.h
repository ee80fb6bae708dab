// The CUDA backend. Each method lives in the file of its family in this folder; core/cpu is the
// specification.
//
// Activations and weights are f32 or bf16, sums are f32 or double. Everything is queued in the device's one
// stream; only what returns a value to the host waits. No kernel uses atomic additions of floats, and every
// product of one shape runs one algorithm, so the same calls give the same bits again.
#pragma once

#include <memory>

#include "core/kernels/kernels.h"

namespace dalle1 {

class CudaDevice;

class CudaKernels : public Kernels {
 public:
  explicit CudaKernels(CudaDevice& device);
  ~CudaKernels() override;

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
  void linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue) override;
  void training_linear(const LinearArguments& a, DType compute) override;
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
  void attend_step(const StepArguments& a) override;
  void advance(Tensor& cell) override;
  void sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell) override;
  void cache_store(const Tensor& x, int64_t slot, Tensor& store) override;
  void sample(const SampleArguments& a) override;
  void adamw(const AdamWArguments& a) override;
  void lerp(const Tensor& x, float decay, Tensor& average) override;

  struct Products;        // cuBLASLt: the algorithm of each shape
  struct Convolutions;    // cuDNN: the same
  struct AttentionPlans;  // tiles and masks by pattern, on the device
  struct StepTables;      // what the steps of cached decoding see, on the device
  struct Sampler;         // buffers of one draw

 protected:
  CudaDevice& device_;

 private:
  Products& products();
  Convolutions& convolutions();
  AttentionPlans& attention_plans();

  std::shared_ptr<Products> products_;  // these are made on first use
  std::shared_ptr<Convolutions> convolutions_;
  std::shared_ptr<AttentionPlans> attention_plans_;
  std::shared_ptr<StepTables> step_tables_;
  std::shared_ptr<Sampler> sampler_;
};

}  // namespace dalle1
