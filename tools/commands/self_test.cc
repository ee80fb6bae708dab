#include "tools/commands/self_test.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/image/image.h"
#include "core/image/png.h"
#include "core/ops/conv2d.h"
#include "core/ops/layout.h"
#include "core/ops/linear.h"
#include "core/random/philox.h"

namespace dalle1::tools {
namespace {

Tensor random_tensor(Device& device, const Shape& shape, uint32_t index) {
  RandomStream random(1, Stream::test, index);
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (auto& value : values) value = random.uniform() - 0.5f;
  return Tensor::from(device, shape, std::span<const float>(values));
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Published test vector of Philox4x32-10: counter and key of zeros.
SelfCheck check_random() {
  const auto block = philox4x32({0, 0, 0, 0}, 0);
  const bool passed = block == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  return {"random numbers", passed, passed ? "the published values" : "other than the published values"};
}

SelfCheck check_linear(Device& device) {
  constexpr int64_t rows = 64, inner = 512, columns = 2048;
  Context context(device);
  const auto x = random_tensor(device, {rows, inner}, 1), w = random_tensor(device, {columns, inner}, 2);
  const auto y = ops::linear(context, x, w).to_floats();
  const auto a = x.to_floats(), b = w.to_floats();
  double error = 0, size = 0;
  for (int64_t r = 0; r < rows; r += 7) {
    for (int64_t c = 0; c < columns; ++c) {
      double exact = 0;
      for (int64_t k = 0; k < inner; ++k) exact += double{a[r * inner + k]} * b[c * inner + k];
      error += std::pow(y[r * columns + c] - exact, 2);
      size += exact * exact;
    }
  }
  const double relative = std::sqrt(error / size);
  const double seconds = seconds_of([&] {
    for (int i = 0; i < 20; ++i) ops::linear(context, x, w);
    device.synchronize();
  });
  return {"matrix product", relative < 1e-5,
          fmt::format("relative error {:.1e}, {:.0f} GFLOP/s", relative,
                      20 * 2e-9 * rows * inner * columns / seconds)};
}

SelfCheck check_batches(Device& device) {
  Context context(device);
  const auto x = random_tensor(device, {64, 320}, 3), w = random_tensor(device, {960, 320}, 4);
  const auto all = ops::linear(context, x, w).to_floats();
  const auto one = ops::linear(context, x.rows(17, 18), w).to_floats();
  const bool equal = std::memcmp(one.data(), all.data() + 17 * 960, one.size() * sizeof(float)) == 0;
  // On a GPU the bits of a row may depend on the batch; there only the same wave repeats.
  return {"batches", equal || !device.is_cpu(),
          equal ? "a row's bits do not depend on the batch" : "a row's bits depend on the batch"};
}

SelfCheck check_convolution(Device& device) {
  constexpr int64_t channels = 16, side = 9;
  Context context(device);
  const auto x = random_tensor(device, {1, channels, side, side}, 5);
  const auto w = random_tensor(device, {channels, channels, 3, 3}, 6);
  const auto blocked = ops::conv2d(context, x, w, {}, ops::Conv2dOptions::same(3));
  const auto result = ops::to_layout(context, blocked, Layout::plain);
  const auto a = x.to_floats(), b = w.to_floats(), y = result.to_floats();
  double worst = 0;
  for (int64_t o = 0; o < channels; ++o) {
    double exact = 0;  // the pixel in the middle, which no padding touches
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < 9; ++i)
        exact += double{a[(c * side + 3 + i / 3) * side + 3 + i % 3]} * b[(o * channels + c) * 9 + i];
    worst = std::max(worst, std::abs(y[(o * side + 4) * side + 4] - exact));
  }
  return {"convolution", worst < 1e-4, fmt::format("largest error {:.1e}", worst)};
}

SelfCheck check_pictures() {
  Image image(37, 21, 3);
  RandomStream random(2, Stream::test);
  for (auto& value : image.pixels) value = static_cast<uint8_t>(random.bits());
  const PngText text{"parameters", "\xF0\x9F\x90\xB1"};
  const auto bytes = encode_png(image, {&text, 1});
  const auto back = decode_image(bytes, "the self-test's picture");
  const bool passed = back.pixels == image.pixels && read_png_text(bytes, "self-test").at(0) == text;
  return {"pictures", passed, fmt::format("{} bytes of PNG written and read", bytes.size())};
}

}  // namespace

std::vector<SelfCheck> run_self_test(Device& device) {
  return {check_random(), check_linear(device), check_batches(device), check_convolution(device),
          check_pictures()};
}

}  // namespace dalle1::tools
