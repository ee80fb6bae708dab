// The captioner: p(text | picture), a causal transformer over vectors of the picture, bos, text and eos. One
// definition for training, likelihoods and cached decoding.
//
// log p(y | x) = sum_j log p(y_j | y_<j; F(x)) with F(x) the picture's vectors (Betker et al. 2023, section
// 2.1). A learned F of no picture stands for all of them where the picture is left out, which gives p(y).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/nn/conv2d.h"
#include "transformer/block.h"
#include "transformer/caption_config.h"

namespace dalle1::transformer {

/// What is known of B pictures; the captioner's condition says which of the two it needs.
struct CaptionCondition {
  Tensor codes;      ///< i64 [B, G, G], raster order.
  Tensor embedding;  ///< f32 [B, D]: CLIP's, of length 1.
};

class Captioner final : public Module {
 public:
  /// Allocates all parameters, in f32: zeros, and ones in the norms' weights. Load or initialise() them.
  Captioner(Device& device, const CaptionerConfig& config, const Precision& precision = {});

  /// Normal draws: see initialise_parameters; wider where pictures come in.
  void initialise(uint64_t seed);
  void visit(const ParameterVisitor& visitor) override;
  void prepare() override;
  const CaptionerConfig& config() const { return config_; }
  Device& device() const { return token_embedding_.device(); }

  /// The vectors of pictures, [B, P, C]; those of no picture where `dropped[b]` is not 0 (empty: nowhere).
  Tensor picture_vectors(Context& context, const CaptionCondition& condition,
                         std::span<const uint8_t> dropped = {}) const;
  /// The vectors of no picture, [1, P, C].
  Tensor null_vectors(Context& context) const;

  /// Inputs of all positions: vectors [B, P, C] and ids i64 [B, S], bos first, to [B, P + S, C].
  Tensor embed(Context& context, const Tensor& vectors, const Tensor& ids) const;
  /// Inputs of the text's position `slot` (bos is at 0): ids i64 [N] to [N, C].
  Tensor embed_at(Context& context, const Tensor& ids, int32_t slot) const;
  /// Through all blocks and the final norm: [.., C] to [.., C].
  Tensor trunk(Context& context, Tensor x, Sequence& sequence) const;
  /// The embedding of tokens again, with a bias: weight [classes, C], bias [classes].
  nn::Linear head() const;
  /// Hidden states of text positions [.., C] to logits [.., classes] of the token that comes next.
  Tensor logits(Context& context, const Tensor& hidden) const;

  /// Causal over P + text_slots positions, one a layer.
  std::vector<AttentionPattern> patterns() const;

 private:
  Tensor grid_vectors(Context& context, const Tensor& codes) const;

  CaptionerConfig config_;
  DType compute_;
  Tensor code_embedding_;            // [image_vocab, code_width]
  nn::Conv2d grid_[2];               // code_width to 2 code_width to C channels
  nn::Linear embedding_to_vectors_;  // [P * C, D]
  Tensor no_picture_;                // [P, C]
  Tensor token_embedding_;           // [classes, C]
  Tensor position_;                  // [P + text_slots, C]
  std::vector<Block> blocks_;
  nn::LayerNorm final_norm_;
  Tensor head_bias_;  // [classes]
};

}  // namespace dalle1::transformer
