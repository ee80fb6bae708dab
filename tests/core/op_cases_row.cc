#include <cmath>
#include <complex>

#include "core/ops/norm.h"
#include "core/ops/rotary.h"
#include "tests/core/op_cases_parts.h"

namespace dalle1::test {
namespace {

OpCase rms_norm_case(int64_t rows, int64_t width, int64_t group, int64_t columns) {
  return {fmt::format("rms_norm {}x{}, {} of {}", rows, width, group, columns),
          {{rows, width}},
          [=](Context& c, const Tensors& x) { return ops::rms_norm(c, x[0], group, columns, 1e-5f); },
          [=](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t first = r * width; first < r * width + columns; first += group) {
                double squares = 0;
                for (int64_t i = first; i < first + group; ++i) squares += x[0][i] * x[0][i] / group;
                for (int64_t i = first; i < first + group; ++i) y[i] = x[0][i] / std::sqrt(squares + 1e-5);
              }
            }
            return y;
          }};
}

// By complex numbers: a pair times e^(i angle).
OpCase rotary_case(int64_t rows, int64_t width, int64_t positions, int64_t size, int64_t columns) {
  const auto angle = [=](int64_t position, int64_t i) { return 0.7 * position / (1.0 + i) - 0.2; };
  return {fmt::format("rotary {}x{}, {} of {}, {} positions", rows, width, size, columns, positions),
          {{rows, width}},
          [=](Context& c, const Tensors& x) {
            std::vector<float> table;
            for (int64_t p = 0; p < positions; ++p) {
              for (int64_t i = 0; i < size / 2; ++i) table.push_back(std::cos(angle(p, i)));
              for (int64_t i = 0; i < size / 2; ++i) table.push_back(std::sin(angle(p, i)));
            }
            return ops::rotary(c, x[0], Tensor::from(x[0].device(), {positions, size}, table), columns);
          },
          [=](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t first = r * width; first < r * width + columns; first += size) {
                for (int64_t i = first; i < first + size / 2; ++i) {
                  const auto turned = std::complex<double>(x[0][i], x[0][i + size / 2]) *
                                      std::polar(1.0, angle(r % positions, i - first));
                  y[i] = turned.real();
                  y[i + size / 2] = turned.imag();
                }
              }
            }
            return y;
          }};
}

}  // namespace

OpCase layer_norm_case(int64_t rows, int64_t width) {
  return {fmt::format("layer_norm {}x{}", rows, width),
          {{rows, width}, {width}, {width}},
          [](Context& c, const Tensors& x) { return ops::layer_norm(c, x[0], x[1], x[2], 1e-5f); },
          [=](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t r = 0; r < rows; ++r) {
              double mean = 0, variance = 0;
              for (int64_t i = 0; i < width; ++i) mean += x[0][r * width + i] / width;
              for (int64_t i = 0; i < width; ++i) variance += std::pow(x[0][r * width + i] - mean, 2) / width;
              for (int64_t i = 0; i < width; ++i) {
                y[r * width + i] =
                    (x[0][r * width + i] - mean) / std::sqrt(variance + 1e-5) * x[1][i] + x[2][i];
              }
            }
            return y;
          }};
}

// Under a norm, of which the largest element changes no more than the part of epsilon: what the gradient
// takes for a constant.
OpCase divide_by_max_case(int64_t rows, int64_t width) {
  return {fmt::format("divide_by_max {}x{} and a norm", rows, width),
          {{rows, width}, {width}, {width}},
          [=](Context& c, const Tensors& x) {
            return ops::layer_norm(c, ops::divide_by_max(c, x[0]), x[1], x[2]);
          },
          [=](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t r = 0; r < rows; ++r) {
              double mean = 0, variance = 0, largest = x[0][r * width];
              for (int64_t i = 0; i < width; ++i) largest = std::max<double>(largest, x[0][r * width + i]);
              const auto divided = [&](int64_t i) { return x[0][r * width + i] / largest; };
              for (int64_t i = 0; i < width; ++i) mean += divided(i) / width;
              for (int64_t i = 0; i < width; ++i) variance += std::pow(divided(i) - mean, 2) / width;
              for (int64_t i = 0; i < width; ++i)
                y[r * width + i] = (divided(i) - mean) / std::sqrt(variance + 1e-5) * x[1][i] + x[2][i];
            }
            return y;
          }};
}

std::vector<OpCase> row_op_cases() {
  return {layer_norm_case(5, 33),        layer_norm_case(1, 64),       rms_norm_case(5, 33, 33, 33),
          rms_norm_case(3, 96, 16, 64),  rms_norm_case(2, 21, 7, 14),  rotary_case(6, 24, 3, 8, 16),
          rotary_case(5, 96, 5, 32, 64), rotary_case(4, 12, 1, 6, 12), divide_by_max_case(4, 33)};
}

}  // namespace dalle1::test
