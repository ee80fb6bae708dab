#include "tests/core/op_cases_picture.h"

#include <cmath>

#include "core/ops/conv2d.h"
#include "core/ops/group_norm.h"
#include "core/ops/haar.h"
#include "core/ops/logit_laplace.h"
#include "core/ops/movement.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/ops/upsample.h"
#include "tests/core/op_cases_parts.h"

namespace dalle1::test {
namespace {

OpCase haar_case() {
  return {"inverse_haar",
          {{1, 2, 3, 2}, {1, 2, 3, 3, 2}},
          [](Context& c, const Tensors& x) { return ops::inverse_haar(c, x[0], x[1]); },
          [](const Inputs& x) {
            HostTensor y = zeros({1, 2, 6, 4});
            for (int64_t ch = 0; ch < 2; ++ch) {
              for (int64_t i = 0; i < 3; ++i) {
                for (int64_t j = 0; j < 2; ++j) {
                  const double low = x[0][(ch * 3 + i) * 2 + j];
                  double band[3];
                  for (int64_t d = 0; d < 3; ++d) band[d] = x[1][((ch * 3 + d) * 3 + i) * 2 + j];
                  for (int64_t di = 0; di < 2; ++di) {
                    for (int64_t dj = 0; dj < 2; ++dj) {
                      const double vertical = di ? -1 : 1, horizontal = dj ? -1 : 1;
                      y[(ch * 6 + 2 * i + di) * 4 + 2 * j + dj] =
                          0.5 *
                          (low + vertical * band[0] + horizontal * band[1] + vertical * horizontal * band[2]);
                    }
                  }
                }
              }
            }
            return y;
          }};
}

OpCase logit_laplace_case() {
  return {"logit_laplace",
          {{2, 9}, {2, 9}, {2, 9}},
          [](Context& c, const Tensors& x) {  // the first input is the picture: it carries no gradient
            return ops::logit_laplace(c, ops::map_pixels(c, x[2]), x[0], x[1]);
          },
          [](const Inputs& x) {
            HostTensor y = zeros({2, 9});
            for (int64_t i = 0; i < 18; ++i) {
              const double p = 0.8 * x[2][i] + 0.1, mu = x[0][i], b = std::exp(x[1][i]);
              y[i] = std::log(2 * b * p * (1 - p)) + std::abs(std::log(p / (1 - p)) - mu) / b;
            }
            return y;
          },
          0.05,
          0.4,
          2};
}

OpCase group_norm_case(const Shape& shape, int groups) {
  return {
      fmt::format("group_norm {} {}", shape, groups),
      {shape, {shape[1]}, {shape[1]}},
      [=](Context& c, const Tensors& x) { return ops::group_norm(c, x[0], x[1], x[2], groups); },
      [=](const Inputs& x) {
        return HostTensor{shape, reference_group_norm(shape, groups, x[0].values, x[1].values, x[2].values)};
      }};
}

void add_pool_cases(std::vector<OpCase>& cases) {
  const Shape odd{2, 3, 5, 7};
  cases.push_back({"max_pool",
                   {odd},
                   [](Context& c, const Tensors& x) { return ops::max_pool(c, x[0]); },
                   [](const Inputs& x) {
                     return HostTensor{{2, 3, 2, 3}, reference_max_pool(x[0].shape, x[0].values)};
                   }});
  cases.push_back({"avg_pool",
                   {odd},
                   [](Context& c, const Tensors& x) { return ops::avg_pool(c, x[0], 3); },
                   [](const Inputs& x) {
                     return HostTensor{{2, 3, 1, 2}, reference_avg_pool(x[0].shape, 3, x[0].values)};
                   }});
  cases.push_back({"upsample",
                   {{2, 3, 5, 1}},
                   [](Context& c, const Tensors& x) { return ops::upsample(c, x[0]); },
                   [](const Inputs& x) {
                     return HostTensor{{2, 3, 10, 2}, reference_upsample(x[0].shape, x[0].values)};
                   }});
}

// With the channels in blocks, which is where a CPU computes in bf16.
OpCase many_channels_case(DType compute) {
  const Shape x_shape{1, 8, 5, 4}, w_shape{9, 8, 3, 3}, y_shape{1, 9, 5, 4};
  const Conv2dGeometry geometry{1, 1, 1, 1, 1, compute};
  return {"conv2d of many channels",
          {x_shape, w_shape, {9}},
          [=](Context& c, const Tensors& x) {
            return ops::to_plain(c, ops::conv2d(c, x[0], x[1], x[2], {.geometry = geometry, .residual = {}}));
          },
          [=](const Inputs& x) {
            HostTensor y = zeros(y_shape);
            for (int64_t i = 0; i < y_shape.numel(); ++i) y[i] = x[2][i / 20];
            for_products(x_shape, w_shape, y_shape, geometry,
                         [&](int64_t ix, int64_t iw, int64_t iy) { y[iy] += x[0][ix] * x[1][iw]; });
            return y;
          }};
}

// `wide` is the picture of 3 channels that the convolution takes and its transpose gives, `narrow` the other.
void add_convolution_cases(std::vector<OpCase>& cases, DType compute) {
  cases.push_back(many_channels_case(compute));
  const Shape wide{2, 3, 6, 5}, narrow{2, 4, 3, 3}, w{4, 3, 3, 2};
  const Conv2dGeometry geometry{2, 1, 0, 0, 1, compute};
  cases.push_back({"conv2d",
                   {wide, w, {4}},
                   [=](Context& c, const Tensors& x) {
                     return ops::to_plain(
                         c, ops::conv2d(c, x[0], x[1], x[2], {.geometry = geometry, .residual = {}}));
                   },
                   [=](const Inputs& x) {
                     HostTensor y = zeros(narrow);
                     for (int64_t i = 0; i < narrow.numel(); ++i) y[i] = x[2][i / 9 % 4];
                     for_products(wide, w, narrow, geometry,
                                  [&](int64_t ix, int64_t iw, int64_t iy) { y[iy] += x[0][ix] * x[1][iw]; });
                     return y;
                   }});
  cases.push_back({"conv_transpose2d",
                   {narrow, w, {3}},
                   [=](Context& c, const Tensors& x) {
                     return ops::to_plain(c, ops::conv_transpose2d(c, x[0], x[1], x[2], geometry));
                   },
                   [=](const Inputs& x) {
                     HostTensor y = zeros(wide);
                     for (int64_t i = 0; i < wide.numel(); ++i) y[i] = x[2][i / 30 % 3];
                     for_products(wide, w, narrow, geometry,
                                  [&](int64_t ix, int64_t iw, int64_t iy) { y[ix] += x[0][iy] * x[1][iw]; });
                     return y;
                   }});
}

}  // namespace

std::vector<OpCase> picture_op_cases(DType compute) {
  std::vector<OpCase> cases{haar_case(), logit_laplace_case(), group_norm_case({2, 4, 3, 5}, 2),
                            group_norm_case({1, 6, 2, 1}, 1)};
  add_pool_cases(cases);
  add_convolution_cases(cases, compute);
  return cases;
}

}  // namespace dalle1::test
