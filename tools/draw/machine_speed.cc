#include "tools/draw/machine_speed.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "core/nn/linear.h"
#include "core/ops/conv2d.h"
#include "core/ops/sampling.h"
#include "transformer/shares.h"

namespace dalle1::tools {
namespace {

constexpr int64_t kMostRows = 64, kMostWidth = 1024;  // beyond, the rate is the same

// Seconds of `work`, which each of `shares` threads does for itself at the same time. Many times in a row: a
// decoding divides its candidates once.
double seconds_of(Device& device, int shares, const std::function<void()>& work) {
  work();  // packs weights, makes kernels
  device.synchronize();
  int64_t times = 1;
  for (double seconds = 0;; times *= 2) {
    const auto begin = std::chrono::steady_clock::now();
    device.run_parallel(shares, [&](int) {
      for (int64_t i = 0; i < times; ++i) work();
    });
    device.synchronize();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (seconds > 0.05) return seconds / static_cast<double>(times);
  }
}

// Operations a second of the product that a transformer of this width has most of.
double product_speed(Device& device, int shares, int64_t rows, int64_t width, PrecisionName precision) {
  rows = std::min(rows, kMostRows);
  width = std::min(width, kMostWidth);
  Context context(device);
  const Precision types = precisions_of(precision, device).transformer;
  const auto x = Tensor::full(device, {rows, width}, 0.5f).to(types.activations);
  auto layer = nn::Linear::zeros(device, 4 * width, width, types);
  layer.prepare();
  const double seconds = seconds_of(device, shares, [&] {
    Context own = context;
    layer.forward(own, x);
  });
  return 8.0 * static_cast<double>(shares * rows * width * width) / seconds;
}

double drawing_speed(Device& device, int shares, int64_t rows, int64_t vocabulary) {
  rows = std::min(rows, kMostRows);
  const auto logits = Tensor::full(device, {rows, vocabulary}, 0.0f);
  const double seconds = seconds_of(device, shares, [&] {
    CellSampling cell;
    cell.cell = Tensor::zeros(device, {1}, DType::i64);
    cell.candidates = Tensor::zeros(device, {rows}, DType::i32);
    cell.forced = Tensor::from(device, {1}, std::vector<int64_t>{-1});
    cell.tokens = Tensor::zeros(device, {1, rows}, DType::i64);
    cell.log_probs = Tensor::zeros(device, {1, rows});
    cell.newest = Tensor::zeros(device, {rows}, DType::i64);
    ops::sample_cell(logits, logits, cell);
  });
  return static_cast<double>(shares * rows * vocabulary) / seconds;
}

// The first convolution brings its library's code into memory, which then counts as the program's.
void convolve_once(Device& device) {
  Context context(device);
  const auto picture = Tensor::full(device, {1, 16, 16, 16}, 0.5f),
             kernel = Tensor::full(device, {16, 16, 3, 3}, 0.5f);
  ops::conv2d(context, picture, kernel, {}, ops::Conv2dOptions::same(3));
}

MachineSpeed measure_on(Device& device, const transformer::TransformerConfig& config, int wave, int groups,
                        PrecisionName precision) {
  const int shares = transformer::share_count(wave, groups, device.threads());
  const int64_t candidates = (wave + shares - 1) / shares;
  MachineSpeed speed;
  speed.sampling = product_speed(device, shares, candidates * groups, config.width, precision);
  speed.logits = drawing_speed(device, shares, candidates, config.image_vocab);
  speed.together = product_speed(device, 1, wave, config.width, usual_precision(device));
  convolve_once(device);
  return speed;
}

}  // namespace

// On a device of its own where that costs nothing: what it keeps for reuse goes with it.
MachineSpeed measure_speed(Device& device, const transformer::TransformerConfig& config, int wave, int groups,
                           PrecisionName precision) {
  if (!device.is_cpu()) return measure_on(device, config, wave, groups, precision);
  const auto own = make_cpu_device(device.threads());
  return measure_on(*own, config, wave, groups, precision);
}

}  // namespace dalle1::tools
