#include "core/cpu/convolution_cache.h"

#include <bit>
#include <string_view>

#include "core/cpu/thread_limit.h"

namespace dalle1 {
namespace {

using cpu::ConvolutionPlan;
using cpu::ConvolutionShape;
using cpu::tag_of;
using dnnl::memory;
using Fused = CpuKernels::ConvolutionCache::Fused;
using Direction = CpuKernels::ConvolutionCache::Direction;

struct Descriptors {
  memory::desc x, w, bias, y;
  memory::dims strides, before, after;
};

// The results of the three directions are f32; what each multiplies has the type to compute in.
Descriptors describe(const ConvolutionShape& shape, bool with_bias, Direction direction) {
  constexpr auto f32 = memory::data_type::f32;
  const auto narrow = shape.geometry.compute == DType::bf16 ? memory::data_type::bf16 : f32;
  const Conv2dGeometry& g = shape.geometry;
  Descriptors d;
  d.x = {{shape.batch, shape.in, shape.height, shape.width},
         direction == Direction::backward_data ? f32 : narrow,
         tag_of(shape.x_layout)};
  d.y = {{shape.batch, shape.out, shape.out_height, shape.out_width},
         direction == Direction::forward ? f32 : narrow,
         tag_of(shape.y_layout)};
  d.w = {{shape.out, shape.in, shape.kernel_height, shape.kernel_width},
         direction == Direction::backward_weights ? f32 : narrow,
         memory::format_tag::any};
  if (with_bias) d.bias = {{shape.out}, f32, memory::format_tag::x};
  d.strides = {g.stride, g.stride};
  d.before = {g.pad_top, g.pad_left};
  d.after = {g.pad_bottom, g.pad_right};
  return d;
}

// In this order: gain, residual, ReLU; conv.cc passes the residual at the matching position.
dnnl::primitive_attr attributes(const Fused& fused, const memory::desc& y) {
  dnnl::post_ops ops;
  if (fused.gain != 1.0f) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_linear, fused.gain, 0.0f);
  if (fused.residual) ops.append_binary(dnnl::algorithm::binary_add, y);
  if (fused.relu) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  dnnl::primitive_attr attr;
  attr.set_post_ops(ops);
  return attr;
}

bool is_vectorised(const char* implementation) {
  return std::string_view(implementation).substr(0, 3) != "ref";
}

bool is_product(const char* implementation) {
  return std::string_view(implementation).find("gemm") != std::string_view::npos;
}

/// What `describe` makes, with the same sums for any number of threads. oneDNN counts them when it describes.
template <typename Describe>
auto invariant(const Describe& describe) {
  const auto descriptor = describe();
  if (!is_product(descriptor.impl_info_str())) return descriptor;
  const cpu::ThreadLimit one(1);
  return describe();
}

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_descriptor(const Descriptors& d,
                                                             const dnnl::primitive_attr& attr,
                                                             dnnl::prop_kind kind,
                                                             const dnnl::engine& engine) {
  using Forward = dnnl::convolution_forward;
  if (d.bias.is_zero()) {
    return {Forward::desc(kind, kDirect, d.x, d.w, d.y, d.strides, d.before, d.after), attr, engine};
  }
  return {Forward::desc(kind, kDirect, d.x, d.w, d.bias, d.y, d.strides, d.before, d.after), attr, engine};
}

ConvolutionPlan make_forward(const Descriptors& d, const Fused& fused, const dnnl::engine& engine) {
  const auto pd = invariant([&] {
    return forward_descriptor(d, attributes(fused, d.y), dnnl::prop_kind::forward_inference, engine);
  });
  const char* name = pd.impl_info_str();
  return {dnnl::convolution_forward(pd), pd.weights_desc(), is_vectorised(name), is_product(name)};
}

ConvolutionPlan make_backward_data(const Descriptors& d, const Descriptors& forward,
                                   const dnnl::engine& engine) {
  using Backward = dnnl::convolution_backward_data;
  const auto hint = forward_descriptor(forward, {}, dnnl::prop_kind::forward_training, engine);
  const auto pd = invariant([&] {
    return Backward::primitive_desc({kDirect, d.x, d.w, d.y, d.strides, d.before, d.after}, engine, hint);
  });
  const char* name = pd.impl_info_str();
  return {Backward(pd), pd.weights_desc(), is_vectorised(name), is_product(name)};
}

ConvolutionPlan make_backward_weights(const Descriptors& d, const Descriptors& forward,
                                      const dnnl::engine& engine) {
  using Backward = dnnl::convolution_backward_weights;
  const auto hint = forward_descriptor(forward, {}, dnnl::prop_kind::forward_training, engine);
  const auto desc = d.bias.is_zero()
                        ? Backward::desc(kDirect, d.x, d.w, d.y, d.strides, d.before, d.after)
                        : Backward::desc(kDirect, d.x, d.w, d.bias, d.y, d.strides, d.before, d.after);
  const Backward::primitive_desc pd(desc, engine, hint);
  return {Backward(pd), pd.diff_weights_desc(), is_vectorised(pd.impl_info_str())};
}

}  // namespace

namespace cpu {

dnnl::memory::format_tag tag_of(Layout layout) {
  switch (layout) {
    case Layout::plain:
      return dnnl::memory::format_tag::nchw;
    case Layout::blocked8:
      return dnnl::memory::format_tag::nChw8c;
    case Layout::blocked16:
      return dnnl::memory::format_tag::nChw16c;
    case Layout::channels_last:
      return dnnl::memory::format_tag::nhwc;
  }
  fail(ErrorKind::internal, "unknown layout {}", static_cast<int>(layout));
}

ConvolutionShape::ConvolutionShape(const Tensor& x, int64_t kernel_height, int64_t kernel_width,
                                   const Tensor& y, const Conv2dGeometry& geometry)
    : batch(x.dim(0)),
      height(x.dim(2)),
      width(x.dim(3)),
      out_height(y.dim(2)),
      out_width(y.dim(3)),
      kernel_height(kernel_height),
      kernel_width(kernel_width),
      x_layout(x.layout()),
      y_layout(y.layout()),
      geometry(geometry) {
  const auto in_memory = [](const Tensor& t) {
    const int64_t block = block_of(t.layout());
    return (t.dim(1) + block - 1) / block * block;
  };
  in = in_memory(x);
  out = in_memory(y);
}

ConvolutionShape ConvolutionShape::plain(int64_t in_channels, int64_t out_channels) const {
  ConvolutionShape shape = *this;
  shape.in = in_channels;
  shape.out = out_channels;
  shape.x_layout = shape.y_layout = Layout::plain;
  shape.geometry.compute = DType::f32;
  return shape;
}

ConvolutionShape ConvolutionShape::narrow() const {
  ConvolutionShape shape = *this;
  shape.x_layout = shape.y_layout = Layout::channels_last;
  return shape;
}

void ConvolutionShape::append_to(std::vector<int64_t>& key) const {
  key.insert(key.end(), {batch, in, height, width, out, out_height, out_width, kernel_height, kernel_width,
                         static_cast<int64_t>(x_layout), static_cast<int64_t>(y_layout), geometry.stride,
                         geometry.pad_top, geometry.pad_left, geometry.pad_bottom, geometry.pad_right,
                         static_cast<int64_t>(geometry.compute)});
}

}  // namespace cpu

std::shared_ptr<const ConvolutionPlan> CpuKernels::ConvolutionCache::plan(Direction direction,
                                                                          const ConvolutionShape& shape,
                                                                          const Fused& fused) {
  std::vector<int64_t> key{static_cast<int64_t>(direction), fused.bias, fused.residual, fused.relu,
                           std::bit_cast<int32_t>(fused.gain)};
  shape.append_to(key);
  std::lock_guard lock(mutex_);
  auto& entry = plans_[std::move(key)];
  if (entry) return entry;
  const Descriptors d = describe(shape, fused.bias, direction),
                    forward = describe(shape, fused.bias, Direction::forward);
  ConvolutionPlan plan;
  switch (direction) {
    case Direction::forward:
      plan = make_forward(d, fused, engine);
      break;
    case Direction::backward_data:
      plan = make_backward_data(d, forward, engine);
      break;
    case Direction::backward_weights:
      plan = make_backward_weights(d, forward, engine);
      break;
  }
  entry = std::make_shared<const ConvolutionPlan>(std::move(plan));
  return entry;
}

}  // namespace dalle1
