#include "transformer/block.h"

#include <cmath>

#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/random/philox.h"

namespace dalle1::transformer {

NormParameters NormParameters::identity(Device& device, int64_t width) {
  return {Tensor::full(device, {width}, 1.0f), Tensor::zeros(device, {width})};
}

void NormParameters::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".weight", weight);
  visitor(name + ".bias", bias);
}

Block::Block(Device& device, const BlockConfig& config, int index, DType matrices)
    : index_(index),
      sandwich_(config.sandwich_norm),
      qk_norm_(config.qk_norm),
      head_size_(config.width / config.heads),
      epsilon_(config.norm_eps),
      dropout_(config.dropout),
      activation_(ops::activation_from_name(config.activation)),
      attention_norm_(NormParameters::identity(device, config.width)),
      mlp_norm_(NormParameters::identity(device, config.width)),
      qkv_(nn::Linear::zeros(device, 3 * config.width, config.width, matrices)),
      output_(nn::Linear::zeros(device, config.width, config.width, matrices)),
      up_(nn::Linear::zeros(device, int64_t{config.mlp_ratio} * config.width, config.width, matrices)),
      down_(nn::Linear::zeros(device, config.width, int64_t{config.mlp_ratio} * config.width, matrices)) {
  if (!sandwich_) return;
  attention_post_norm_ = NormParameters::identity(device, config.width);
  mlp_post_norm_ = NormParameters::identity(device, config.width);
}

Tensor Block::norm(Context& context, const Tensor& x, const NormParameters& parameters) const {
  return ops::layer_norm(context, x, parameters.weight, parameters.bias, epsilon_);
}

Tensor Block::forward(Context& context, const Tensor& x, Sequence& sequence) const {
  const auto place = static_cast<uint32_t>(2 * index_);
  Tensor a = norm(context, x, attention_norm_);
  Tensor qkv = qkv_.forward(context, a);
  if (qk_norm_) qkv = ops::rms_norm(context, qkv, head_size_, 2 * x.dim(-1), epsilon_);
  a = sequence.attend(context, index_, qkv);
  const Tensor h = add_branch(context, x, a, output_, attention_post_norm_, place);
  Tensor m = norm(context, h, mlp_norm_);
  m = up_.forward(context, m, {activation_});
  return add_branch(context, h, m, down_, mlp_post_norm_, place + 1);
}

// x + the end of a residual branch.
Tensor Block::add_branch(Context& context, const Tensor& x, const Tensor& branch, const nn::Linear& last,
                         const NormParameters& post_norm, uint32_t place) const {
  if (!sandwich_ && (!context.training || dropout_ == 0.0f))
    return last.forward(context, branch, {std::nullopt, &x});
  Tensor y = last.forward(context, branch);
  if (sandwich_) y = norm(context, y, post_norm);
  return ops::add(context, x, ops::dropout(context, y, dropout_, place));
}

void Block::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  attention_norm_.visit(prefix + "attention_norm", visitor);
  qkv_.visit(prefix + "attention.qkv", visitor);
  output_.visit(prefix + "attention.output", visitor);
  if (sandwich_) attention_post_norm_.visit(prefix + "attention_post_norm", visitor);
  mlp_norm_.visit(prefix + "mlp_norm", visitor);
  up_.visit(prefix + "mlp.up", visitor);
  down_.visit(prefix + "mlp.down", visitor);
  if (sandwich_) mlp_post_norm_.visit(prefix + "mlp_post_norm", visitor);
}

void Block::prepare() {
  for (nn::Linear* layer : {&qkv_, &output_, &up_, &down_}) layer->prepare();
}

void initialise_parameters(Module& model, const Initialisation& options, uint64_t seed) {
  const float deviation = 0.5f / std::sqrt(static_cast<float>(options.width));
  const float residual = deviation / std::sqrt(2.0f * static_cast<float>(options.layers));
  uint32_t index = 0;
  model.visit([&](const std::string& name, Tensor& parameter) {
    RandomStream draws(seed, Stream::initialisation, index++);
    if (parameter.rank() < 2) return;  // norms and biases
    const bool branch_end = name.ends_with("attention.output.weight") || name.ends_with("mlp.down.weight");
    if (options.zero_ends && (branch_end || name == "head.weight")) return;
    check(parameter.dtype() == DType::f32, ErrorKind::internal, "{}: initialise() wants f32", name);
    std::vector<float> values(parameter.numel());
    for (float& value : values) value = (branch_end ? residual : deviation) * draws.normal();
    parameter.device().copy_from_host(parameter.raw(), values.data(), parameter.bytes());
    parameter.touch();
  });
}

int hidden_matrices_of(const std::string& name) {
  if (!name.starts_with("layers.")) return 0;
  return name.ends_with("attention.qkv.weight") ? 3 : 1;
}

}  // namespace dalle1::transformer
