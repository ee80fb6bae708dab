#include <doctest/doctest.h>

#include "core/cpu/cpu_kernels.h"
#include "core/ops/conv2d.h"
#include "tests/core/picture_check.h"

using namespace dalle1;
using test::Values;

namespace {

struct ConvCase {
  int64_t batch, in, out, height, width, kernel_height, kernel_width;
  Conv2dGeometry geometry;
};

struct Extents {
  int64_t height, width;
};

Extents output_of(const ConvCase& c) {
  const Conv2dGeometry& g = c.geometry;
  return {(c.height + g.pad_top + g.pad_bottom - c.kernel_height) / g.stride + 1,
          (c.width + g.pad_left + g.pad_right - c.kernel_width) / g.stride + 1};
}

// Calls visit(index into x, index into w, index into y) for every product of the convolution.
template <typename Visit>
void for_products(const ConvCase& c, const Visit& visit) {
  const auto [oh, ow] = output_of(c);
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t o = 0; o < c.out; ++o)
      for (int64_t y = 0; y < oh; ++y)
        for (int64_t x = 0; x < ow; ++x)
          for (int64_t i = 0; i < c.in; ++i)
            for (int64_t ky = 0; ky < c.kernel_height; ++ky)
              for (int64_t kx = 0; kx < c.kernel_width; ++kx) {
                const int64_t row = y * c.geometry.stride + ky - c.geometry.pad_top;
                const int64_t column = x * c.geometry.stride + kx - c.geometry.pad_left;
                if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
                visit(((b * c.in + i) * c.height + row) * c.width + column,
                      ((o * c.in + i) * c.kernel_height + ky) * c.kernel_width + kx,
                      ((b * c.out + o) * oh + y) * ow + x);
              }
}

Values reference_conv(const ConvCase& c, const Values& x, const Values& w, const Values* bias) {
  const auto [oh, ow] = output_of(c);
  Values y(c.batch * c.out * oh * ow);
  for (size_t i = 0; bias && i < y.size(); ++i) y[i] = (*bias)[i / (oh * ow) % c.out];
  for_products(c, [&](int64_t ix, int64_t iw, int64_t iy) { y[iy] += x[ix] * w[iw]; });
  return y;
}

Shape x_shape(const ConvCase& c) { return {c.batch, c.in, c.height, c.width}; }
Shape w_shape(const ConvCase& c) { return {c.out, c.in, c.kernel_height, c.kernel_width}; }

const std::vector<ConvCase> kCases = {
    {2, 3, 20, 9, 7, 7, 7, {1, 3, 3, 3, 3}},   // first convolution: plain in, blocked out
    {2, 16, 16, 6, 5, 3, 3, {1, 1, 1, 1, 1}},  // whole blocks
    {1, 6, 10, 5, 7, 3, 3, {1, 1, 1, 1, 1}},   // padded blocks
    {2, 33, 17, 4, 3, 1, 1, {1, 0, 0, 0, 0}},  // 1x1
    {1, 20, 5, 9, 8, 3, 3, {2, 0, 0, 1, 1}},   // VQGAN's downsampling
    {2, 8, 12, 8, 6, 4, 4, {2, 1, 1, 1, 1}},   // even kernel
    {1, 16, 16, 7, 7, 2, 3, {1, 0, 2, 1, 0}},  // rectangular, asymmetric
    {1, 16, 16, 5, 5, 3, 3, {1, 5, 0, 0, 4}},  // padding beyond the kernel
    {1, 16, 18, 1, 1, 3, 3, {1, 1, 1, 1, 1}},  // one pixel
    {1, 1, 1, 1, 1, 1, 1, {1, 0, 0, 0, 0}},    // one of everything
    {2, 3, 24, 8, 8, 4, 4, {4, 0, 0, 0, 0}},   // patches
    {1, 17, 3, 6, 6, 5, 5, {1, 3, 1, 1, 3}},   // few outputs
    {1, 4, 4, 7, 5, 3, 3, {3, 1, 1, 1, 1}}};   // few of both, stride 3

std::vector<float> forward_bits(Device& device, int64_t batch, int64_t first, bool blocked) {
  Context context(device);
  const ConvCase c{4, 24, 40, 12, 10, 3, 3, {1, 1, 1, 1, 1}};
  const Tensor whole = test::tensor_of(device, x_shape(c), test::random_values(x_shape(c).numel(), 1));
  Tensor x = whole.rows(first, first + batch).clone();
  if (blocked) x = ops::in_layout(x, device.kernels().preferred_layout(64));
  const Tensor w = test::tensor_of(device, w_shape(c), test::random_values(w_shape(c).numel(), 2));
  Tensor y = ops::conv2d(context, x, w, {}, ops::Conv2dOptions::same(3));
  return ops::to_plain(context, y).to_floats();
}

}  // namespace

TEST_CASE("conv2d equals the double-precision reference, value and gradients") {
  for (const ConvCase& c : kCases) {
    for (const bool blocked : {false, true}) {
      CAPTURE(c.in);
      CAPTURE(c.out);
      CAPTURE(c.kernel_height);
      CAPTURE(blocked);
      test::check_picture_op(
          {{x_shape(c), w_shape(c), Shape{c.out}},
           [&](Context& context, const std::vector<Tensor>& in) {
             return ops::conv2d(context, in[0], in[1], in[2], {.geometry = c.geometry, .residual = {}});
           },
           [&](const std::vector<Values>& in) { return reference_conv(c, in[0], in[1], &in[2]); },
           blocked,
           2});
    }
  }
}

TEST_CASE("the fused residual, gain and ReLU of conv2d have the value and gradients of the composition") {
  for (const ConvCase& c : {kCases[1], kCases[2], kCases[6], kCases[7], kCases[9]}) {
    for (const bool blocked : {false, true}) {
      for (const bool relu : {false, true}) {
        const auto [oh, ow] = output_of(c);
        const Shape y_shape{c.batch, c.out, oh, ow};
        CAPTURE(c.in);
        CAPTURE(relu);
        test::check_picture_op(
            {{x_shape(c), y_shape, w_shape(c), Shape{c.out}},
             [&](Context& context, const std::vector<Tensor>& in) {
               return ops::conv2d(context, in[0], in[2], in[3], {c.geometry, in[1], 0.25f, relu});
             },
             [&](const std::vector<Values>& in) {
               Values y = reference_conv(c, in[0], in[2], &in[3]);
               for (size_t i = 0; i < y.size(); ++i) {
                 y[i] = in[1][i] + 0.25 * y[i];
                 if (relu) y[i] = std::max(y[i], 0.0);
               }
               return y;
             },
             blocked,
             2});
      }
    }
  }
}

TEST_CASE("the fused epilogue of conv2d has the bits of the composition") {
  auto device = make_cpu_device(2);
  Context context(*device);
  const Layout layout = device->kernels().preferred_layout(64);
  const Tensor x =
      ops::in_layout(test::tensor_of(*device, {2, 32, 9, 8}, test::random_values(2 * 32 * 72, 1)), layout);
  const Tensor r =
      ops::in_layout(test::tensor_of(*device, {2, 20, 9, 8}, test::random_values(2 * 20 * 72, 2)), layout);
  const Tensor w = test::tensor_of(*device, {20, 32, 3, 3}, test::random_values(20 * 32 * 9, 3));
  const Tensor bias = test::tensor_of(*device, {20}, test::random_values(20, 4));
  const Conv2dGeometry g{1, 1, 1, 1, 1};
  const Tensor fused = ops::conv2d(context, x, w, bias, {g, r, 0.3f, true});
  const Tensor conv = ops::conv2d(context, x, w, bias, {g, {}, 1.0f, false});
  const Tensor composed = ops::relu(context, ops::add(context, r, ops::affine(context, conv, 0.3f)));
  CHECK(ops::to_plain(context, fused).to_floats() == ops::to_plain(context, composed).to_floats());
}

TEST_CASE("a picture's convolution has the same bits in any batch and with any number of threads") {
  auto one = make_cpu_device(1), two = make_cpu_device(2);
  const std::vector<float> all = forward_bits(*one, 4, 0, true);
  CHECK(forward_bits(*two, 4, 0, true) == all);
  CHECK(forward_bits(*two, 4, 0, false) == all);
  const std::vector<float> third = forward_bits(*two, 1, 2, true);
  CHECK(third == std::vector<float>(all.begin() + 2 * third.size(), all.begin() + 3 * third.size()));
}

TEST_CASE("conv_transpose2d equals the double-precision reference, value and gradients") {
  // As ConvCase of the convolution that it transposes.
  for (const ConvCase& c :
       {ConvCase{2, 12, 8, 8, 6, 4, 4, {2, 1, 1, 1, 1}}, ConvCase{1, 3, 16, 5, 5, 3, 3, {1, 1, 1, 1, 1}},
        ConvCase{1, 5, 7, 7, 7, 3, 3, {2, 0, 0, 0, 0}}}) {
    const auto [height, width] = output_of(c);
    const Shape x{c.batch, c.out, height, width};
    test::check_picture_op(
        {{x, w_shape(c), Shape{c.in}},
         [&](Context& context, const std::vector<Tensor>& in) {
           return ops::conv_transpose2d(context, in[0], in[1], in[2], c.geometry);
         },
         [&](const std::vector<Values>& in) {
           Values y(x_shape(c).numel());
           for (size_t i = 0; i < y.size(); ++i) y[i] = in[2][i / (c.height * c.width) % c.in];
           for_products(c, [&](int64_t ix, int64_t iw, int64_t iy) { y[ix] += in[0][iy] * in[1][iw]; });
           return y;
         },
         false,
         2});
  }
}

TEST_CASE("weights that change in place are packed anew") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const Tensor x = test::tensor_of(*device, {1, 16, 4, 4}, test::random_values(256, 1));
  Tensor w = test::tensor_of(*device, {16, 16, 1, 1}, test::random_values(256, 2));
  const Tensor before = ops::conv2d(context, x, w, {});
  device->kernels().affine(w, 2.0f, 0.0f, w);
  w.touch();
  const Tensor after = ops::conv2d(context, x, w, {});
  const Tensor doubled = ops::affine(context, before, 2.0f);
  CHECK(ops::to_plain(context, after).to_floats() == ops::to_plain(context, doubled).to_floats());
}

TEST_CASE("a chain of convolutions reorders once at each end") {
  auto device = make_cpu_device(1);
  Context context(*device);
  auto& kernels = dynamic_cast<CpuKernels&>(device->kernels());
  const Tensor x = test::tensor_of(*device, {1, 16, 8, 8}, test::random_values(1024, 1));
  const Tensor w = test::tensor_of(*device, {16, 16, 3, 3}, test::random_values(2304, 2));
  Tensor y = x;
  for (int i = 0; i < 4; ++i) y = ops::conv2d(context, y, w, {}, ops::Conv2dOptions::same(3));
  y = ops::to_plain(context, y);
  CHECK(kernels.reorder_count() == 2);
}

TEST_CASE("conv2d refuses shapes that do not fit") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const Tensor x = Tensor::zeros(*device, {1, 3, 4, 4}), w = Tensor::zeros(*device, {2, 4, 3, 3});
  CHECK_THROWS_WITH_AS(ops::conv2d(context, x, w, {}),
                       "conv2d: x [1, 3, 4, 4] with weight [2, 4, 3, 3] and bias none", Error);
  const Tensor large = Tensor::zeros(*device, {2, 3, 7, 7});
  CHECK_THROWS_AS(ops::conv2d(context, x, large, {}), Error);
}
