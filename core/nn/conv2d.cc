#include "core/nn/conv2d.h"

namespace dalle1::nn {

Conv2d Conv2d::zeros(Device& device, int64_t outputs, int64_t channels, int kernel,
                     const Precision& precision) {
  return {Tensor::zeros(device, {outputs, channels, kernel, kernel}, precision.parameters),
          Tensor::zeros(device, {outputs}), precision.compute};
}

void Conv2d::visit(const std::string& weight_name, const std::string& bias_name,
                   const ParameterVisitor& visitor) {
  visitor(weight_name, weight);
  visitor(bias_name, bias);
}

Tensor Conv2d::forward_relu(Context& context, const Tensor& x) const {
  ops::Conv2dOptions options = same();
  options.relu = true;
  return forward(context, x, options);
}

}  // namespace dalle1::nn
