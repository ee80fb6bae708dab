#include "core/cuda/peak.h"

#include <algorithm>
#include <chrono>

#include "core/kernels/kernels.h"

namespace dalle1 {
namespace {

// Seconds of one run, the best of several groups of runs; the first group warms up.
template <typename Work>
double best_seconds(Device& device, const Work& work) {
  constexpr int kGroups = 5, kRuns = 8;
  double best = 1e30;
  for (int group = 0; group < kGroups; ++group) {
    device.synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int run = 0; run < kRuns; ++run) work();
    device.synchronize();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (group > 0) best = std::min(best, elapsed.count() / kRuns);
  }
  return best;
}

}  // namespace

DevicePeak measure_peak(Device& device) {
  constexpr int64_t kSide = 8192, kCopied = int64_t{2} << 30;
  check(!device.is_cpu(), ErrorKind::internal, "the peak of the CPU is measured in core/cpu");
  DevicePeak peak;
  {
    Tensor a = Tensor::empty(device, {kSide, kSide}, DType::bf16), b = a.clone(), y = a.clone();
    // The power that a product draws, and with it the clock, depends on its values.
    for (Tensor* x : {&a, &b}) {
      device.kernels().uniform({1, Stream::test, x == &a, 0}, *x);
      device.kernels().affine(*x, 2.0f, -1.0f, *x);
    }
    const double seconds =
        best_seconds(device, [&] { device.kernels().matmul(a, b, {.transpose_b = true}, y); });
    peak.tflops = 2.0 * kSide * kSide * kSide / seconds * 1e-12;
  }
  const Tensor from = Tensor::zeros(device, {kCopied}, DType::u8);
  const Tensor to = Tensor::empty(device, {kCopied}, DType::u8);
  const double seconds = best_seconds(device, [&] { device.copy(to.raw(), from.raw(), kCopied); });
  peak.copy_gb_s = 2.0 * kCopied / seconds * 1e-9;
  return peak;
}

}  // namespace dalle1
