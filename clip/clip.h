// CLIP: pictures and texts in one space (Radford et al. 2021).
#pragma once

#include <memory>

#include "clip/blocks.h"
#include "clip/config.h"
#include "clip/vision.h"
#include "core/nn/parameters.h"

namespace dalle1::clip {

class Clip final : public Module {
 public:
  /// Parameters are zero (norms: one) until they are loaded or initialised. In any precision
  /// sums, norms and features are f32.
  Clip(const ClipConfig& config, Device& device, const Precision& precision = {});

  const ClipConfig& config() const { return config_; }

  /// Preprocessed pictures f32 [B, 3, R, R] (see preprocess.h) to features f32 [B, embed_dim], not
  /// normalised.
  Tensor encode_images(Context& context, const Tensor& images);
  /// Ids i64 [B, T], zero padded, to features f32 [B, embed_dim], not normalised. T is at most
  /// context_length; the padding after the last end token changes nothing and may be left out.
  Tensor encode_texts(Context& context, const Tensor& ids) const;

  /// The factor of cosines in the logits: exp(logit_scale).
  float scale() const;

  /// Names of OpenAI's state dict.
  void visit(const ParameterVisitor& visitor) override;
  void prepare() override;
  /// Random values as in the paper's code, a function of the seed.
  void initialise(uint64_t seed);
  /// Tensor of ln(scale), [].
  Tensor& logit_scale() { return logit_scale_; }

 private:
  ClipConfig config_;
  DType compute_;
  std::unique_ptr<ImageEncoder> vision_;
  std::vector<ResidualAttentionBlock> blocks_;
  Tensor token_embedding_;       // [vocab_size, C]
  Tensor positional_embedding_;  // [context_length, C]
  nn::LayerNorm ln_final_;
  Tensor text_projection_;  // [C, embed_dim], applied from the right
  Tensor logit_scale_;      // []
};

/// Cosines [I, T] between unnormalised features [I, D] and [T, D], in an order that does not depend on I or
/// T.
Tensor cosines(const Tensor& image_features, const Tensor& text_features);

}  // namespace dalle1::clip
