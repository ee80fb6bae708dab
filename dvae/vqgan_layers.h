// Building blocks of the VQGAN: Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis".
#pragma once

#include <optional>
#include <string>

#include "core/nn/conv2d.h"
#include "core/nn/norm.h"

namespace dalle1::dvae {

/// The norm followed by swish, x * sigmoid(x).
Tensor norm_swish(Context& context, const nn::GroupNorm& norm, const Tensor& x);

/// norm, swish, conv 3x3, norm, swish, conv 3x3, plus x (through a 1x1 convolution where the width changes).
class ResnetBlock {
 public:
  ResnetBlock(Device& device, int64_t in, int64_t out, const Precision& precision);
  Tensor forward(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  nn::GroupNorm norm1_, norm2_;
  nn::Conv2d conv1_, conv2_;
  std::optional<nn::Conv2d> shortcut_;
};

/// Single-head self-attention over all pixels, scaled by 1 / sqrt(C), plus x.
class AttentionBlock {
 public:
  AttentionBlock(Device& device, int64_t channels, const Precision& precision);
  Tensor forward(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  nn::GroupNorm norm_;
  nn::Conv2d q_, k_, v_, output_;
};

/// Zero padding of one pixel to the right and below, then a 3x3 convolution of stride 2.
Tensor downsample(Context& context, const nn::Conv2d& conv, const Tensor& x);

/// block, attention, block.
struct MiddleLayers {
  ResnetBlock block1;
  AttentionBlock attention;
  ResnetBlock block2;
  MiddleLayers(Device& device, int64_t channels, const Precision& precision)
      : block1(device, channels, channels, precision),
        attention(device, channels, precision),
        block2(device, channels, channels, precision) {}
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
