#include "core/cuda/timed_kernels.h"

#include <algorithm>

#include "core/cuda/cuda_error.h"

namespace dalle1 {

using cuda::require;

TimedKernels::~TimedKernels() { drop(); }

void TimedKernels::drop() {
  for (const Interval& interval : intervals_) {
    cudaEventDestroy(interval.begin);
    cudaEventDestroy(interval.end);
  }
  intervals_.clear();
}

// An op that is made of others counts as one.
template <typename Work>
void TimedKernels::time(const std::string& name, const Work& work) {
  if (!is_on_ || is_inside_) return work();
  is_inside_ = true;
  Interval& interval = intervals_.emplace_back();
  interval.name = name;
  require(cudaEventCreateWithFlags(&interval.begin, cudaEventDefault), "making an event");
  require(cudaEventCreateWithFlags(&interval.end, cudaEventDefault), "making an event");
  require(cudaEventRecord(interval.begin, device_.stream()), "recording an event");
  work();
  require(cudaEventRecord(interval.end, device_.stream()), "recording an event");
  is_inside_ = false;
}

std::vector<PartTime> TimedKernels::end() {
  is_on_ = false;
  device_.synchronize();
  std::vector<PartTime> parts;
  for (const Interval& interval : intervals_) {
    auto part = std::find_if(parts.begin(), parts.end(),
                             [&](const PartTime& other) { return other.name == interval.name; });
    if (part == parts.end()) part = parts.insert(parts.end(), {interval.name});
    float milliseconds = 0;
    require(cudaEventElapsedTime(&milliseconds, interval.begin, interval.end), "reading an event");
    ++part->calls;
    part->seconds += milliseconds * 1e-3;
  }
  drop();
  return parts;
}

void TimedKernels::linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue) {
  time(fmt::format("product {} to {}", a.w.dim(1), a.w.dim(0)),
       [&] { CudaKernels::linear_fused(a, epilogue); });
}

void TimedKernels::layer_norm(const LayerNormArguments& a) {
  time("norm", [&] { CudaKernels::layer_norm(a); });
}

void TimedKernels::attend_step(const StepArguments& a) {
  time("attention", [&] { CudaKernels::attend_step(a); });
}

void TimedKernels::unary(Unary op, const Tensor& x, Tensor& y) {
  time("activation", [&] { CudaKernels::unary(op, x, y); });
}

void TimedKernels::binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  time("sums", [&] { CudaKernels::binary(op, a, b, y); });
}

void TimedKernels::embedding(const Tensor& ids, const Tensor& table, Tensor& y) {
  time("embedding", [&] { CudaKernels::embedding(ids, table, y); });
}

void TimedKernels::sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell) {
  time("sampling", [&] { CudaKernels::sample_cell(logits, own, cell); });
}

}  // namespace dalle1
