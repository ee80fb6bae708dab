// Building blocks of the VQGAN: Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis".
#pragma once

#include <optional>
#include <string>

#include "dvae/conv_layer.h"

namespace dalle1::dvae {

/// Group norm of 32 groups, epsilon 1e-6.
struct GroupNormLayer {
  Tensor weight, bias;  // [C]
  GroupNormLayer() = default;
  GroupNormLayer(Device& device, int64_t channels);
  Tensor operator()(Context& context, const Tensor& x) const;
  /// Followed by swish: x * sigmoid(x).
  Tensor with_swish(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

/// norm, swish, conv 3x3, norm, swish, conv 3x3, plus x (through a 1x1 convolution where the width changes).
class ResnetBlock {
 public:
  ResnetBlock(Device& device, int64_t in, int64_t out, DType dtype);
  Tensor forward(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  GroupNormLayer norm1_, norm2_;
  ConvLayer conv1_, conv2_;
  std::optional<ConvLayer> shortcut_;
};

/// Single-head self-attention over all pixels, scaled by 1 / sqrt(C), plus x.
class AttentionBlock {
 public:
  AttentionBlock(Device& device, int64_t channels, DType dtype);
  Tensor forward(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  GroupNormLayer norm_;
  ConvLayer q_, k_, v_, output_;
};

/// Zero padding of one pixel to the right and below, then a 3x3 convolution of stride 2.
Tensor downsample(Context& context, const ConvLayer& conv, const Tensor& x);

/// block, attention, block.
struct MiddleLayers {
  ResnetBlock block1;
  AttentionBlock attention;
  ResnetBlock block2;
  MiddleLayers(Device& device, int64_t channels, DType dtype)
      : block1(device, channels, channels, dtype),
        attention(device, channels, dtype),
        block2(device, channels, channels, dtype) {}
  Tensor forward(Context& context, const Tensor& x) const {
    return block2.forward(context, attention.forward(context, block1.forward(context, x)));
  }
  void visit(const std::string& prefix, const ParameterVisitor& visitor) {
    block1.visit(prefix + ".block_1", visitor);
    attention.visit(prefix + ".attn_1", visitor);
    block2.visit(prefix + ".block_2", visitor);
  }
};

}  // namespace dalle1::dvae
