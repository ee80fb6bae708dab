#include "core/nn/linear.h"

namespace dalle1::nn {

Linear Linear::zeros(Device& device, int64_t outputs, int64_t inputs, const Precision& precision) {
  Linear layer;
  layer.weight = Tensor::zeros(device, {outputs, inputs}, precision.parameters);
  layer.compute = precision.compute;
  layer.bias = Tensor::zeros(device, {outputs});
  if (precision.parameters == DType::i8) layer.scale = Tensor::zeros(device, {outputs});
  return layer;
}

void Linear::visit(const std::string& name, const ParameterVisitor& visitor) {
  check(!packed.defined(), ErrorKind::internal, "{}: packed weights are not parameters", name);
  visitor(name + ".weight", weight);
  if (scale.defined()) visitor(name + ".weight.scale", scale);
  visitor(name + ".bias", bias);
}

void Linear::prepare() {
  if (packed.defined()) return;
  if (!scale.defined()) return ops::prepare_linear(weight);
  packed = ops::pack_int8(weight, scale);
  weight = {};
}

Linear Linear::rows(int64_t begin, int64_t end) const {
  return {weight.rows(begin, end),
          bias.rows(begin, end),
          scale.defined() ? scale.rows(begin, end) : Tensor(),
          compute,
          {}};
}

Tensor Linear::forward(Context& context, const Tensor& x, const LinearEpilogue& epilogue,
                       std::optional<DType> result) const {
  if (packed.defined()) return ops::linear_fused(context, x, packed, bias, epilogue);
  return ops::linear_fused(context, x, weight, bias, epilogue, result, compute);
}

ops::WeightedLoss Linear::cross_entropy(Context& context, const Tensor& x, const Tensor& targets,
                                        const Tensor& weights) const {
  if (packed.defined()) return ops::linear_cross_entropy(context, x, packed, bias, targets, weights);
  return ops::linear_cross_entropy(context, x, weight, bias, targets, weights, compute);
}

}  // namespace dalle1::nn
