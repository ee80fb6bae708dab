// The transformer: embeddings, blocks, heads. One definition for training, prefill and cached decoding.
#pragma once

#include <memory>
#include <vector>

#include "transformer/block.h"
#include "transformer/config.h"

namespace dalle1::transformer {

class Transformer final : public Module {
 public:
  /// Allocates all parameters: zeros, and ones in the norms' weights. Load or initialise() them.
  /// With parameters in i8 the embeddings are f32; training wants Precision::training().
  Transformer(Device& device, const TransformerConfig& config, const Precision& precision = {});

  /// Normal draws of deviation 1 / (2 sqrt(width)), less in the last product of each residual branch. With
  /// `zero_ends` those products and the head start at zero: every block is the identity at first, every class
  /// equally likely. For f32 matrices.
  void initialise(uint64_t seed, bool zero_ends = false);
  void visit(const ParameterVisitor& visitor) override;
  /// i8 weights can then be neither visited nor changed (see nn::Linear); keeps the parts of the head apart.
  void prepare() override;
  const TransformerConfig& config() const { return config_; }
  Device& device() const { return text_embedding_.device(); }

  /// Input embeddings of text i64 [B, S], S <= text_length, and the first n image tokens i64 [B, n]
  /// (undefined: none) as [B, T, C]: the positions of config().sequence(S) up to the last of these. Padding
  /// is in the ids already. With a prepended start the caller leaves out the last image token.
  Tensor embed(Context& context, const Tensor& text, const Tensor& image) const;

  /// The embeddings of the grid's first cells, [cells, C]: those of their rows and columns.
  Tensor places(Context& context, int64_t cells) const;
  /// Embeddings of image tokens, i64, at `place` of places(): [N] at one place [1, C] as [N, C], or [B, n] at
  /// the places [n, C] as [B, n, C].
  Tensor embed_at(Context& context, const Tensor& tokens, const Tensor& place) const;

  /// How queries, keys and, by config().rotary_kind, values turn at the positions of
  /// config().sequence(slots), T of them: [T, D], see ops::rotary; undefined without config().rotary.
  Rotations rotations(int32_t slots) const;

  /// Through all blocks and the final norm. `checkpoint_blocks` keeps only each block's input for the
  /// backward pass, which then holds on to the sequence.
  Tensor trunk(Context& context, Tensor x, const std::shared_ptr<Sequence>& sequence,
               bool checkpoint_blocks = false) const;

  /// Logits of hidden states [.., C] over all classes, or the image's.
  Tensor logits(Context& context, const Tensor& hidden) const;
  Tensor image_logits(Context& context, const Tensor& hidden) const;
  /// The rows of the head for text or image classes, differentiable: weight [classes, C], bias [classes].
  nn::Linear text_head(Context& context) const;
  nn::Linear image_head(Context& context) const;

 private:
  Tensor normed(Context& context, const Tensor& embeddings) const;
  nn::Linear head_rows(Context& context, int64_t begin, int64_t end, const nn::Linear& prepared) const;

  TransformerConfig config_;
  Tensor text_embedding_;   // [text_vocab + text_length, C]
  Tensor text_position_;    // [text_positions, C]
  Tensor image_embedding_;  // [image_vocab, C]
  Tensor image_row_;        // [G, C]
  Tensor image_column_;     // [G, C]
  std::vector<Block> blocks_;
  nn::LayerNorm final_norm_, head_norm_;
  nn::Linear head_;                    // [text classes + image classes, C]
  nn::Linear text_head_, image_head_;  // rows of the head, once prepare() was called
};

/// Every position of texts of `slots` slots and of pictures, for training and likelihoods.
std::shared_ptr<Sequence> whole_sequence(const Transformer& model, int32_t slots);

}  // namespace dalle1::transformer
