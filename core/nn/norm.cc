#include "core/nn/norm.h"

#include "core/ops/group_norm.h"
#include "core/ops/norm.h"

namespace dalle1::nn {

LayerNorm LayerNorm::identity(Device& device, int64_t width, float epsilon, DType result) {
  return {Tensor::full(device, {width}, 1.0f), Tensor::zeros(device, {width}), epsilon, result};
}

void LayerNorm::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".weight", weight);
  visitor(name + ".bias", bias);
}

Tensor LayerNorm::forward(Context& context, const Tensor& x) const {
  return ops::layer_norm(context, x, weight, bias, epsilon, result);
}

GroupNorm GroupNorm::identity(Device& device, int64_t channels, int groups, float epsilon) {
  check(channels % groups == 0, ErrorKind::model, "group norm: a width of {} is not a multiple of {}",
        channels, groups);
  return {Tensor::full(device, {channels}, 1.0f), Tensor::zeros(device, {channels}), groups, epsilon};
}

void GroupNorm::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".weight", weight);
  visitor(name + ".bias", bias);
}

Tensor GroupNorm::forward(Context& context, const Tensor& x) const {
  return ops::group_norm(context, x, weight, bias, groups, epsilon);
}

}  // namespace dalle1::nn
