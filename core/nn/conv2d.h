// A convolutional layer.
#pragma once

#include <string>

#include "core/nn/parameters.h"
#include "core/nn/precision.h"
#include "core/ops/conv2d.h"

namespace dalle1::nn {

/// x [B, C, H, W] * w + b, see ops::conv2d; of stride 1 and, for an odd kernel, keeping the size, unless
/// options say otherwise.
struct Conv2d {
  Tensor weight;               ///< [O, C, kernel, kernel]: f32 or bf16 (CUDA).
  Tensor bias;                 ///< f32 [O], or undefined.
  DType compute = DType::f32;  ///< See Precision.

  /// Zeros.
  static Conv2d zeros(Device& device, int64_t outputs, int64_t channels, int kernel,
                      const Precision& precision = {});
  /// Published names of weights and biases differ: w and b, weight and bias.
  void visit(const std::string& weight_name, const std::string& bias_name, const ParameterVisitor& visitor);
  /// NAME.weight and NAME.bias.
  void visit(const std::string& name, const ParameterVisitor& visitor) {
    visit(name + ".weight", name + ".bias", visitor);
  }

  Tensor forward(Context& context, const Tensor& x) const { return forward(context, x, same()); }
  Tensor forward(Context& context, const Tensor& x, ops::Conv2dOptions options) const {
    options.geometry.compute = compute;
    return ops::conv2d(context, x, weight, bias, options);
  }
  Tensor forward_relu(Context& context, const Tensor& x) const;
  /// Size-preserving options, to which the caller adds its epilogue.
  ops::Conv2dOptions same() const { return ops::Conv2dOptions::same(static_cast<int>(weight.dim(2))); }
};

}  // namespace dalle1::nn
