// The training loss: cross entropy of text and image tokens, weighted 1 : image_weight (DALL-E paper, 2.2).
#pragma once

#include "transformer/model.h"

namespace dalle1::transformer {

struct TokenBatch {
  Tensor text;   ///< i64 [B, S], S <= text_length; padding tokens in place.
  Tensor image;  ///< i64 [B, G * G]
};

struct LossOptions {
  /// Whether all padding positions of the text are targets; else only the first of each caption, which says
  /// where it ends.
  bool text_padding = true;
  bool checkpoint_blocks = false;  ///< Activation checkpointing: less memory, one more forward pass.
};

struct Loss {
  Tensor total;      ///< [1]: (text + image_weight * image) / (1 + image_weight)
  double text = 0;   ///< Mean nats per text target.
  double image = 0;  ///< Mean nats per image target.
  /// Nats of each image target, [B, n] row by row: the last n cells of each picture.
  std::vector<float> image_targets;
};

/// Error(input) where a target is no class: with the loss "rudalle_v3" an image token that no text class has.
Loss compute_loss(Context& context, const Transformer& model, const TokenBatch& batch,
                  const LossOptions& options);

}  // namespace dalle1::transformer
