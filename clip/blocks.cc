#include "clip/blocks.h"

#include "core/ops/attention.h"
#include "core/ops/elementwise.h"

namespace dalle1::clip {

ResidualAttentionBlock::ResidualAttentionBlock(Device& device, const BlockShape& shape,
                                               const Precision& precision)
    : heads_(shape.heads),
      activation_(shape.activation),
      ln_1_(nn::LayerNorm::identity(device, shape.width, 1e-5f, precision.activations)),
      ln_2_(nn::LayerNorm::identity(device, shape.width, 1e-5f, precision.activations)),
      in_proj_(nn::Linear::zeros(device, 3 * shape.width, shape.width, precision)),
      out_proj_(nn::Linear::zeros(device, shape.width, shape.width, precision)),
      c_fc_(nn::Linear::zeros(device, shape.mlp_width, shape.width, precision)),
      c_proj_(nn::Linear::zeros(device, shape.width, shape.mlp_width, precision)) {}

Tensor ResidualAttentionBlock::forward(Context& context, const Tensor& x,
                                       const AttentionPattern& pattern) const {
  const Tensor qkv = in_proj_.forward(context, ln_1_.forward(context, x));
  const Tensor attended = ops::self_attention(context, qkv, heads_, pattern, in_proj_.compute);
  const Tensor h = ops::add(context, x, out_proj_.forward(context, attended));
  const Tensor inner = ops::unary(context, activation_, c_fc_.forward(context, ln_2_.forward(context, h)));
  return ops::add(context, h, c_proj_.forward(context, inner));
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

void ResidualAttentionBlock::prepare() {
  for (nn::Linear* layer : {&in_proj_, &out_proj_, &c_fc_, &c_proj_}) layer->prepare();
}

}  // namespace dalle1::clip
