// Work whose results are compared between devices: the same inputs everywhere, all outputs in one list.
#pragma once

#include <vector>

#include "core/kernels/kernels.h"
#include "core/random/philox.h"

namespace dalle1::test {

using Values = std::vector<float>;

inline Values random_values(int64_t count, uint32_t index) {
  RandomStream random(5, Stream::test, index);
  Values values(count);
  for (float& value : values) value = 2.0f * random.uniform() - 1.0f;
  return values;
}

inline Tensor random_tensor(Device& device, const Shape& shape, uint32_t index, DType dtype = DType::f32) {
  return Tensor::from(device, shape, random_values(shape.numel(), index)).to(dtype);
}

inline Values plain_values(const Tensor& x) {
  if (x.layout() == Layout::plain) return x.to_floats();
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.kernels().reorder(x, y);
  return y.to_floats();
}

inline void append(Values& values, const Tensor& x) {
  const Values more = plain_values(x);
  values.insert(values.end(), more.begin(), more.end());
}

/// A convolution with bias, residual and ReLU, and its gradients.
inline Values convolution_work(Device& device, DType dtype, const Conv2dGeometry& geometry, int64_t in,
                               int64_t kernel) {
  Kernels& kernels = device.kernels();
  const int64_t out = 24, side = 13, batch = 2;
  const auto extent = [&](int before, int after) {
    return (side + before + after - kernel) / geometry.stride + 1;
  };
  const Shape shape{batch, out, extent(geometry.pad_top, geometry.pad_bottom),
                    extent(geometry.pad_left, geometry.pad_right)};
  const auto picture = [&](const Shape& s, uint32_t index) {
    const Tensor plain = random_tensor(device, s, index, dtype);
    Tensor preferred = Tensor::empty(device, s, dtype, kernels.preferred_layout(s[1]));
    kernels.reorder(plain, preferred);
    return preferred;
  };
  const Tensor x = picture({batch, in, side, side}, 1), residual = picture(shape, 2), dy = picture(shape, 3);
  const Tensor w = random_tensor(device, {out, in, kernel, kernel}, 4),
               bias = random_tensor(device, {out}, 5);
  Tensor y = Tensor::empty(device, shape, dtype, dy.layout()),
         dx = Tensor::empty(device, x.shape(), dtype, x.layout());
  Tensor dw = Tensor::empty(device, w.shape()), dbias = Tensor::empty(device, bias.shape());
  kernels.conv2d({x, w, &bias, geometry, {&residual, 0.5f, true}, y});
  kernels.conv2d_backward_data(dy, w, geometry, dx);
  kernels.conv2d_backward_weights({x, dy, geometry, dw, &dbias});
  Values values;
  for (const Tensor& t : {y, dx, dw, dbias}) append(values, t);
  return values;
}

}  // namespace dalle1::test
