// CLIP's image encoders: the Vision Transformer and the modified ResNet.
#pragma once

#include <memory>

#include "clip/config.h"
#include "core/nn/parameters.h"
#include "core/nn/precision.h"
#include "core/tensor/context.h"

namespace dalle1::clip {

class ImageEncoder : public Module {
 public:
  /// Preprocessed pictures f32 [B, 3, R, R] to features f32 [B, embed_dim], not normalised.
  virtual Tensor forward(Context& context, const Tensor& images) = 0;
};

// Both take a configuration that is resolved.

/// Patches by a strided convolution, a class token, learned positions, norms before and after (section 2.4).
std::unique_ptr<ImageEncoder> make_vision_transformer(const ClipConfig& config, Device& device,
                                                      const Precision& precision);

/// ResNet with a stem of three convolutions, average pools before strides (anti-aliasing) and attention
/// pooling (section 2.4). Batch norms use their stored statistics, in training too. Convolutions are stored
/// in f32, since norms are folded into them, and run in what the precision computes.
std::unique_ptr<ImageEncoder> make_modified_resnet(const ClipConfig& config, Device& device,
                                                   const Precision& precision);

}  // namespace dalle1::clip
