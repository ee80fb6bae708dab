// A convolution with its parameters, as the dVAEs use it.
#pragma once

#include <string>

#include "core/nn/parameters.h"
#include "core/ops/conv2d.h"

namespace dalle1::dvae {

/// An odd square kernel of stride 1 that keeps the size of the picture, unless options say otherwise.
struct ConvLayer {
  Tensor w;  // [O, C, kernel, kernel]
  Tensor b;  // [O], f32

  ConvLayer() = default;
  ConvLayer(Device& device, int64_t in, int64_t out, int kernel, DType dtype = DType::f32)
      : w(Tensor::zeros(device, {out, in, kernel, kernel}, dtype)), b(Tensor::zeros(device, {out})) {}

  Tensor operator()(Context& context, const Tensor& x) const { return (*this)(context, x, same()); }
  Tensor operator()(Context& context, const Tensor& x, const ops::Conv2dOptions& options) const {
    return ops::conv2d(context, x, w, b, options);
  }
  /// Size-preserving options, to which the caller adds its epilogue.
  ops::Conv2dOptions same() const { return ops::Conv2dOptions::same(static_cast<int>(w.dim(2))); }

  Tensor with_relu(Context& context, const Tensor& x) const {
    ops::Conv2dOptions options = same();
    options.relu = true;
    return (*this)(context, x, options);
  }

  void visit(const std::string& weight_name, const std::string& bias_name, const ParameterVisitor& visitor) {
    visitor(weight_name, w);
    visitor(bias_name, b);
  }
};

}  // namespace dalle1::dvae
