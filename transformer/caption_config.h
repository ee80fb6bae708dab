// The shape of a captioner: a transformer that writes a text given a picture (Betker et al. 2023, "Improving
// Image Generation with Better Captions", section 2.1).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/data/token_shard.h"
#include "transformer/sequence_layout.h"

namespace dalle1::transformer {

/// Fields carry the names of the JSON configuration.
struct CaptionerConfig {
  int32_t layers = 4;
  int32_t width = 192;
  int32_t heads = 3;
  int32_t text_slots = 96;    ///< Most tokens of a caption, its end included.
  int32_t text_vocab = 2048;  ///< BPE ids; that of bos and eos follows them.
  /// What of a picture is read: "grid" (its codes), "clip" (its normalised CLIP embedding) or "both".
  std::string condition = "grid";
  int32_t grid = 32;
  int32_t image_vocab = 8192;
  int32_t code_width = 64;  ///< Of a code's embedding.
  int32_t embed_dim = 128;  ///< Of CLIP's embedding.
  int32_t prefix = 8;       ///< Vectors that are made of CLIP's embedding.
  int32_t mlp_ratio = 4;
  std::string activation = "gelu_tanh";  ///< See ops::activation_from_name.
  bool qk_norm = false;                  ///< As in TransformerConfig.
  std::string style = "plain";           ///< Of the captions that it has learned: a word for people.
  /// Of the dVAE whose codes it reads (weights::sha256_of_tensors) and of its tokenizer's file; empty before
  /// training.
  std::string dvae_sha256, tokenizer_sha256;

  static void visit(auto& self, auto& field);
  bool reads_grid() const { return condition != "clip"; }
  bool reads_clip() const { return condition != "grid"; }
  /// A vector stands for 4 x 4 codes; at the border for what is left of them.
  int32_t grid_vectors() const { return ((grid + 3) / 4) * ((grid + 3) / 4); }
  int32_t picture_vectors() const {
    return (reads_grid() ? grid_vectors() : 0) + (reads_clip() ? prefix : 0);
  }
  /// The picture, then bos and the text.
  SequenceLayout sequence() const {
    return {{SegmentKind::vectors, picture_vectors()}, {SegmentKind::text, text_slots}};
  }
  /// Where a text begins and ends: one id, as in GPT-2, so that every class can come next.
  int32_t bos() const { return text_vocab; }
  int32_t eos() const { return text_vocab; }
  int32_t classes() const { return text_vocab + 1; }

  bool operator==(const CaptionerConfig&) const = default;
};

/// Error(model) that names the field on a value that makes no model, or a size beyond any sane one.
void validate(const CaptionerConfig& config);

/// Error(model) naming an unknown, mistyped or bad field. Absent fields keep their defaults.
CaptionerConfig captioner_config_from_json(const nlohmann::json& json);
nlohmann::ordered_json to_json(const CaptionerConfig& config);

/// Error(model) in one line when codes of this grid, codebook and dVAE, or ids of this tokenizer, are not
/// what the captioner has learned. A sum that is empty on either side is not compared; `what` holds the codes
/// ("the shards").
void check_inputs(const CaptionerConfig& config, const TokenShardInfo& info, const std::string& what);

}  // namespace dalle1::transformer
