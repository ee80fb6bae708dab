// Ops on pictures in plain double precision: for the op table, and for tests of the device's own layouts.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/tensor/shape.h"

namespace dalle1::test {

/// What `reduce` makes of every k x k window of x, which has `shape`; what is left at the border is dropped.
template <typename Reduce>
std::vector<double> pooled(const Shape& shape, int k, const std::vector<double>& x, const Reduce& reduce) {
  const int64_t planes = shape[0] * shape[1], height = shape[2] / k, width = shape[3] / k;
  std::vector<double> y;
  for (int64_t p = 0; p < planes; ++p)
    for (int64_t row = 0; row < height; ++row)
      for (int64_t column = 0; column < width; ++column) {
        std::vector<double> window;
        for (int dy = 0; dy < k; ++dy)
          for (int dx = 0; dx < k; ++dx)
            window.push_back(x[(p * shape[2] + row * k + dy) * shape[3] + column * k + dx]);
        y.push_back(reduce(window));
      }
  return y;
}

inline std::vector<double> reference_max_pool(const Shape& shape, const std::vector<double>& x) {
  return pooled(shape, 2, x,
                [](const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); });
}

inline std::vector<double> reference_avg_pool(const Shape& shape, int k, const std::vector<double>& x) {
  return pooled(shape, k, x, [](const std::vector<double>& v) {
    double sum = 0;
    for (double value : v) sum += value;
    return sum / static_cast<double>(v.size());
  });
}

inline std::vector<double> reference_upsample(const Shape& shape, const std::vector<double>& x) {
  std::vector<double> y;
  for (int64_t p = 0; p < shape[0] * shape[1]; ++p)
    for (int64_t row = 0; row < 2 * shape[2]; ++row)
      for (int64_t column = 0; column < 2 * shape[3]; ++column)
        y.push_back(x[(p * shape[2] + row / 2) * shape[3] + column / 2]);
  return y;
}

/// With the op's default epsilon.
inline std::vector<double> reference_group_norm(const Shape& shape, int groups, const std::vector<double>& x,
                                                const std::vector<double>& w, const std::vector<double>& b) {
  const int64_t pixels = shape[2] * shape[3], n = shape[1] / groups * pixels;
  std::vector<double> y(x.size());
  for (int64_t g = 0; g < shape[0] * groups; ++g) {
    double mean = 0, variance = 0;
    for (int64_t i = g * n; i < (g + 1) * n; ++i) mean += x[i] / n;
    for (int64_t i = g * n; i < (g + 1) * n; ++i) variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int64_t i = g * n; i < (g + 1) * n; ++i) {
      const int64_t channel = i / pixels % shape[1];
      y[i] = (x[i] - mean) / std::sqrt(variance + 1e-6) * w[channel] + b[channel];
    }
  }
  return y;
}

/// Calls visit(index into x, index into w, index into y) for every product of the convolution of x by w to y.
template <typename Visit>
void for_products(const Shape& x, const Shape& w, const Shape& y, const Conv2dGeometry& g,
                  const Visit& visit) {
  for (int64_t iy = 0; iy < y.numel(); ++iy) {
    const int64_t column = iy % y[3], row = iy / y[3] % y[2], o = iy / (y[3] * y[2]) % y[1];
    const int64_t picture = iy / (y[3] * y[2] * y[1]);
    for (int64_t k = 0; k < w[1] * w[2] * w[3]; ++k) {
      const int64_t channel = k / (w[2] * w[3]);
      const int64_t at_row = row * g.stride + k / w[3] % w[2] - g.pad_top;
      const int64_t at_column = column * g.stride + k % w[3] - g.pad_left;
      if (at_row < 0 || at_row >= x[2] || at_column < 0 || at_column >= x[3]) continue;
      visit(((picture * x[1] + channel) * x[2] + at_row) * x[3] + at_column, o * w[1] * w[2] * w[3] + k, iy);
    }
  }
}

}  // namespace dalle1::test
