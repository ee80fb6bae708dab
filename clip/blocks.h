// The residual attention block that CLIP's text encoder and Vision Transformer share.
#pragma once

#include <vector>

#include "core/attention/attention_pattern.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"

namespace dalle1::clip {

/// Channels, heads, hidden channels of the MLP and its activation.
struct BlockShape {
  int64_t width = 0, heads = 0, mlp_width = 0;
  Unary activation = Unary::quick_gelu;
};

/// x + attention(ln_1(x)), then x + mlp(ln_2(x)).
class ResidualAttentionBlock {
 public:
  ResidualAttentionBlock(Device& device, const BlockShape& shape, const Precision& precision);
  Tensor forward(Context& context, const Tensor& x, const AttentionPattern& pattern) const;  ///< x [B, T, C]
  void visit(const std::string& name, const ParameterVisitor& visitor);
  void prepare();

 private:
  int64_t heads_;
  Unary activation_;
  nn::LayerNorm ln_1_, ln_2_;
  nn::Linear in_proj_;  // [3C, C]: query, key, value
  nn::Linear out_proj_, c_fc_, c_proj_;
};

}  // namespace dalle1::clip
