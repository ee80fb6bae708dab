#include "clip/blocks.h"

#include <cmath>

#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/norm.h"

namespace dalle1::clip {

LinearLayer::LinearLayer(Device& device, int64_t in, int64_t out, DType dtype)
    : weight(Tensor::zeros(device, {out, in}, dtype)), bias(Tensor::zeros(device, {out})) {}

Tensor LinearLayer::operator()(Context& context, const Tensor& x) const {
  return ops::linear(context, x, weight, bias);
}

void LinearLayer::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".weight", weight);
  visitor(name + ".bias", bias);
}

LayerNorm::LayerNorm(Device& device, int64_t width)
    : weight(Tensor::full(device, {width}, 1.0f)), bias(Tensor::zeros(device, {width})) {}

Tensor LayerNorm::operator()(Context& context, const Tensor& x) const {
  return ops::layer_norm(context, x, weight, bias, 1e-5f);
}

void LayerNorm::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".weight", weight);
  visitor(name + ".bias", bias);
}

Tensor attend(Context& context, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
              const AttentionPattern& pattern) {
  const int64_t width = q.dim(-1), head = width / heads;
  auto split = [&](const Tensor& x) { return ops::reshape(context, x, {x.dim(0), x.dim(1), heads, head}); };
  const float scale = 1.0f / std::sqrt(static_cast<float>(head));
  return ops::reshape(context, ops::attention(context, split(q), split(k), split(v), pattern, scale),
                      q.shape());
}

ResidualAttentionBlock::ResidualAttentionBlock(Device& device, const BlockShape& shape, DType matrices)
    : heads_(shape.heads),
      activation_(shape.activation),
      ln_1_(device, shape.width),
      ln_2_(device, shape.width),
      in_proj_(device, shape.width, 3 * shape.width, matrices),
      out_proj_(device, shape.width, shape.width, matrices),
      c_fc_(device, shape.width, shape.mlp_width, matrices),
      c_proj_(device, shape.mlp_width, shape.width, matrices) {}

Tensor ResidualAttentionBlock::forward(Context& context, const Tensor& x,
                                       const AttentionPattern& pattern) const {
  const int64_t width = x.dim(-1);
  const Tensor qkv = in_proj_(context, ln_1_(context, x));
  auto third = [&](int64_t i) { return ops::slice(context, qkv, -1, i * width, (i + 1) * width); };
  const Tensor attended = attend(context, third(0), third(1), third(2), heads_, pattern);
  const Tensor h = ops::add(context, x, out_proj_(context, attended));
  const Tensor inner = ops::unary(context, activation_, c_fc_(context, ln_2_(context, h)));
  return ops::add(context, h, c_proj_(context, inner));
}

void ResidualAttentionBlock::visit(const std::string& name, const ParameterVisitor& visitor) {
  visitor(name + ".attn.in_proj_weight", in_proj_.weight);
  visitor(name + ".attn.in_proj_bias", in_proj_.bias);
  out_proj_.visit(name + ".attn.out_proj", visitor);
  ln_1_.visit(name + ".ln_1", visitor);
  c_fc_.visit(name + ".mlp.c_fc", visitor);
  c_proj_.visit(name + ".mlp.c_proj", visitor);
  ln_2_.visit(name + ".ln_2", visitor);
}

}  // namespace dalle1::clip
