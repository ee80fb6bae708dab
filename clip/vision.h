// CLIP's image encoders: the Vision Transformer and the modified ResNet.
#pragma once

#include <memory>

#include "clip/config.h"
#include "core/nn/parameters.h"
#include "core/tensor/context.h"

namespace dalle1::clip {

class ImageEncoder : public Module {
 public:
  /// Preprocessed pictures [B, 3, R, R] to features [B, embed_dim], not normalised.
  virtual Tensor forward(Context& context, const Tensor& images) = 0;
};

/// Patches by a strided convolution, a class token, learned positions, norms before and after (section 2.4).
std::unique_ptr<ImageEncoder> make_vision_transformer(const ClipConfig& config, Device& device);

/// ResNet with a stem of three convolutions, average pools before strides (anti-aliasing) and attention
/// pooling (section 2.4). Batch norms use their stored statistics, in training too.
std::unique_ptr<ImageEncoder> make_modified_resnet(const ClipConfig& config, Device& device);

}  // namespace dalle1::clip
