#include "transformer/block.h"

#include <cmath>

#include "core/nn/initialise.h"
#include "core/ops/elementwise.h"
#include "core/ops/movement.h"
#include "core/ops/norm.h"

namespace dalle1::transformer {

Block::Block(Device& device, const BlockConfig& config, int index, const Precision& precision)
    : index_(index),
      reversible_(config.reversible),
      token_shift_(config.token_shift),
      sandwich_(config.sandwich_norm),
      qk_norm_(config.qk_norm),
      gated_(config.gated_mlp),
      head_size_(config.head_size),
      compute_(precision.compute),
      epsilon_(config.norm_eps),
      dropout_(config.dropout),
      activation_(ops::activation_from_name(config.activation)),
      attention_norm_(nn::LayerNorm::identity(device, config.width, config.norm_eps, precision.activations)),
      mlp_norm_(nn::LayerNorm::identity(device, config.width, config.norm_eps, precision.activations)),
      qkv_(nn::Linear::zeros(device, int64_t{3} * config.heads * config.head_size, config.width, precision)),
      output_(nn::Linear::zeros(device, config.width, int64_t{config.heads} * config.head_size, precision)),
      up_(nn::Linear::zeros(device, int64_t{config.gated_mlp ? 2 : 1} * config.mlp_ratio * config.width,
                            config.width, precision)),
      down_(nn::Linear::zeros(device, config.width, int64_t{config.mlp_ratio} * config.width, precision)) {
  if (!sandwich_) return;
  attention_post_norm_ =
      nn::LayerNorm::identity(device, config.width, config.norm_eps, precision.activations);
  mlp_post_norm_ = nn::LayerNorm::identity(device, config.width, config.norm_eps, precision.activations);
}

Tensor Block::forward(Context& context, const Tensor& x, Sequence& sequence) const {
  if (!reversible_) {
    const Tensor h = add_attention(context, x, x, sequence);
    return add_mlp(context, h, h, sequence);
  }
  const int64_t width = x.dim(-1) / 2;
  const Tensor first = ops::slice(context, x, -1, 0, width);
  const Tensor second = ops::slice(context, x, -1, width, 2 * width);
  const Tensor h = add_attention(context, first, second, sequence);
  return ops::concat(context, {h, add_mlp(context, second, h, sequence)}, -1);
}

Tensor Block::add_attention(Context& context, const Tensor& x, const Tensor& y, Sequence& sequence) const {
  const int place = 2 * index_;
  Tensor qkv = qkv_.forward(context, begin_branch(context, y, attention_norm_, place, sequence));
  if (qk_norm_) qkv = ops::rms_norm(context, qkv, head_size_, 2 * qkv.dim(-1) / 3, epsilon_);
  const Tensor attended = sequence.attend(context, index_, qkv, compute_);
  return add_branch(context, x, attended, output_, attention_post_norm_, place);
}

Tensor Block::add_mlp(Context& context, const Tensor& x, const Tensor& y, Sequence& sequence) const {
  const int place = 2 * index_ + 1;
  const Tensor inner = mlp_inner(context, begin_branch(context, y, mlp_norm_, place, sequence));
  return add_branch(context, x, inner, down_, mlp_post_norm_, place);
}

Tensor Block::begin_branch(Context& context, const Tensor& y, const nn::LayerNorm& norm, int place,
                           Sequence& sequence) const {
  const Tensor normed = norm.forward(context, y);
  return token_shift_ ? sequence.shift(context, place, normed) : normed;
}

Tensor Block::mlp_inner(Context& context, const Tensor& x) const {
  if (!gated_) return up_.forward(context, x, {activation_});
  const Tensor both = up_.forward(context, x);
  const int64_t inner = both.dim(-1) / 2;
  const Tensor gate = ops::unary(context, activation_, ops::slice(context, both, -1, inner, 2 * inner));
  return ops::mul(context, ops::slice(context, both, -1, 0, inner), gate);
}

// x + the end of a residual branch.
Tensor Block::add_branch(Context& context, const Tensor& x, const Tensor& branch, const nn::Linear& last,
                         const nn::LayerNorm& post_norm, int place) const {
  if (!sandwich_ && (!context.training || dropout_ == 0.0f))
    return last.forward(context, branch, {std::nullopt, &x});
  Tensor y = last.forward(context, branch);
  if (sandwich_) y = post_norm.forward(context, y);
  return ops::add(context, x, ops::dropout(context, y, dropout_, static_cast<uint32_t>(place)));
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
    const uint32_t own = index++;
    if (parameter.rank() < 2) return;  // norms and biases
    const bool branch_end = name.ends_with("attention.output.weight") || name.ends_with("mlp.down.weight");
    if (options.zero_ends && (branch_end || name == "head.weight")) return;
    nn::fill_normal(parameter, branch_end ? residual : deviation, seed, own);
  });
}

int hidden_matrices_of(const std::string& name) {
  if (!name.starts_with("layers.")) return 0;
  return name.ends_with("attention.qkv.weight") ? 3 : 1;
}

}  // namespace dalle1::transformer
