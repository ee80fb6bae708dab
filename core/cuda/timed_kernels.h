// The kernels of cached decoding with a stopwatch beside them, for `dalle1 bench decode`.
#pragma once

#include <string>
#include <vector>

#include "core/cuda/activity.h"
#include "core/cuda/cuda_device.h"

namespace dalle1 {

class TimedKernels final : public CudaKernels {
 public:
  using CudaKernels::CudaKernels;
  ~TimedKernels() override;

  bool is_on() const { return is_on_; }
  void start() { is_on_ = true; }
  std::vector<PartTime> end();

  void linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue) override;
  void layer_norm(const LayerNormArguments& a) override;
  void attend_step(const StepArguments& a) override;
  void unary(Unary op, const Tensor& x, Tensor& y) override;
  void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) override;
  void embedding(const Tensor& ids, const Tensor& table, Tensor& y) override;
  void sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell) override;

 private:
  struct Interval {
    std::string name;
    cudaEvent_t begin = nullptr, end = nullptr;
  };
  template <typename Work>
  void time(const std::string& name, const Work& work);
  void drop();

  bool is_on_ = false, is_inside_ = false;
  std::vector<Interval> intervals_;
};

}  // namespace dalle1
