// The residual attention block that CLIP's text encoder and Vision Transformer share.
#pragma once

#include <vector>

#include "core/attention/attention_pattern.h"
#include "core/nn/parameters.h"
#include "core/ops/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::clip {

struct LinearLayer {
  Tensor weight;  // [out, in]
  Tensor bias;    // [out], f32
  LinearLayer() = default;
  LinearLayer(Device& device, int64_t in, int64_t out, DType dtype);
  Tensor operator()(Context& context, const Tensor& x) const;
  void visit(const std::string& name, const ParameterVisitor& visitor);
};

struct LayerNorm {
  Tensor weight, bias;  // [C]
  LayerNorm() = default;
  LayerNorm(Device& device, int64_t width);
  Tensor operator()(Context& context, const Tensor& x) const;
  void visit(const std::string& name, const ParameterVisitor& visitor);
};

/// Channels, heads, hidden channels of the MLP and its activation.
struct BlockShape {
  int64_t width = 0, heads = 0, mlp_width = 0;
  Unary activation = Unary::quick_gelu;
};

/// x + attention(ln_1(x)), then x + mlp(ln_2(x)).
class ResidualAttentionBlock {
 public:
  ResidualAttentionBlock(Device& device, const BlockShape& shape, DType matrices);
  Tensor forward(Context& context, const Tensor& x, const AttentionPattern& pattern) const;  ///< x [B, T, C]
  void visit(const std::string& name, const ParameterVisitor& visitor);

 private:
  int64_t heads_;
  Unary activation_;
  LayerNorm ln_1_, ln_2_;
  LinearLayer in_proj_;  // [3C, C]: query, key, value
  LinearLayer out_proj_, c_fc_, c_proj_;
};

/// Attention of H heads over [B, T, C] tensors that are projected already.
Tensor attend(Context& context, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
              const AttentionPattern& pattern);

}  // namespace dalle1::clip
