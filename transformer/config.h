// The shape and conventions of a transformer: one model covers the paper's and the published
// re-implementations.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/attention/attention_pattern.h"
#include "transformer/sequence_layout.h"

namespace dalle1::transformer {

/// Which attention pattern each layer has.
struct LayerSchedule {
  /// "paper" (appendix B: column where (l - 1) % 4 == 0, convolution in the last layer, else row; l from 0),
  /// "rudalle" (the same, but the column rule wins in the last layer), "dense", "row", "column", "conv" in
  /// all layers, or "list".
  std::string kind = "paper";
  std::vector<std::string> list;  ///< An entry of layer_entry.h for each layer ("list" only).
  int32_t kernel = 11;            ///< Side of the convolutional window.
  std::string wrap = "raster";    ///< "raster", "none", "corner" or "rudalle-v2".

  static void visit(auto& self, auto& field);
  bool operator==(const LayerSchedule&) const = default;
};

/// Fields carry the names of the JSON configuration.
struct TransformerConfig {
  int32_t layers = 12;
  int32_t width = 320;
  int32_t heads = 5;
  int32_t head_width = 0;      ///< Channels of a head's queries, keys and values; 0: width / heads.
  int32_t text_length = 256;   ///< Text slots.
  int32_t text_vocab = 16384;  ///< BPE ids; one padding class per text position follows them.
  int32_t grid = 32;
  int32_t image_vocab = 8192;
  int32_t mlp_ratio = 4;
  /// The MLP's inner half is multiplied by the activation of its other half (Shazeer 2020, GEGLU).
  bool gated_mlp = false;
  std::string activation = "gelu_tanh";  ///< See ops::activation_from_name.
  /// Two residual streams: attention reads the second and adds to the first, the MLP the other way round; the
  /// result is their mean (Gomez et al. 2017). Activations are kept all the same.
  bool reversible = false;
  /// The norm of a branch is followed by a shift: in the text half of the channels are those of the position
  /// before; in the picture a quarter those of the cell above, another of the cell to the left (B. Peng, as
  /// in DALLE-pytorch).
  bool token_shift = false;
  bool sandwich_norm = false;  ///< Norms behind attention and MLP too (Ding et al. 2021, CogView).
  bool head_norm = false;      ///< A second norm before the head (ru-dalle).
  bool divide_by_max = false;  ///< Final states over their largest element (Ding et al. 2021, DALLE-pytorch).
  bool qk_norm = false;  ///< Queries and keys of each head over their root mean square (Henry et al. 2020).
  /// Queries and keys of the picture turned by their row (first half of a head) and column (Su et al. 2021 in
  /// two axes); the text's stay as they are.
  bool rotary = false;
  /// "grid": as said. "dalle_pytorch": see core/nn/rotary_angles.h; the text and the values turn, too.
  std::string rotary_kind = "grid";
  bool embedding_norm = false;  ///< Input embeddings over their root mean square.
  float norm_eps = 1e-5f;
  /// "none", or "prepended": one more text position in front holds `start_token` and the last position is
  /// dropped, while the masks stay those of text_length (ru-dalle v2); or "text": the same, and the masks
  /// count it (DALLE-pytorch).
  std::string start = "none";
  int32_t start_token = 2;
  int32_t padding_id =
      -1;  ///< An id of the tokenizer that is taken for padding (DALLE-pytorch: 0); -1: none.
  /// What the text slots hold: "plain" (BPE ids, padding) or "bos_eos" (bos, BPE ids, eos, padding).
  std::string layout = "plain";
  /// "paper": every token but the first of the text. "rudalle_v3": the last text position is trained on the
  /// first image token's id as a text class, and that token as an image class by none. "rudalle_v2": every
  /// token.
  std::string loss = "paper";
  float image_weight = 7.0f;  ///< Image loss against a text loss of 1.
  float dropout = 0.0f;
  LayerSchedule schedule;

  int32_t cells() const { return grid * grid; }
  int32_t text_classes() const { return text_vocab + text_length; }
  int32_t classes() const { return text_classes() + image_vocab; }
  int32_t head_size() const { return head_width > 0 ? head_width : width / heads; }
  int32_t attention_width() const { return heads * head_size(); }  ///< Of all queries of a position.
  bool prepended() const { return start != "none"; }
  /// Positions that the masks take for text, of `slots` text slots.
  int32_t text_in_masks(int32_t slots) const { return slots + (start == "text" ? 1 : 0); }
  /// What the positions hold, with `slots` text slots. The last of a prepended start is never an input.
  SequenceLayout sequence(int32_t slots) const {
    return {{SegmentKind::text, slots + (prepended() ? 1 : 0)}, {SegmentKind::grid, cells()}};
  }
  /// Rows of the text position table; ru-dalle's has one more, which only a prepended start uses.
  int32_t text_positions() const { return text_length + (loss == "paper" ? 0 : 1); }
  int32_t padding_token(int32_t position) const { return text_vocab + position; }

  static void visit(auto& self, auto& field);
  bool operator==(const TransformerConfig&) const = default;
};

/// Throws Error(model) that names the field on a value that makes no model, or a size beyond any sane one.
void validate(const TransformerConfig& config);

/// Throws Error(model) naming an unknown, mistyped or bad field. Absent fields keep their defaults.
TransformerConfig config_from_json(const nlohmann::json& json);
nlohmann::ordered_json to_json(const TransformerConfig& config);

/// Pattern of layer `layer` with `text_slots` text positions (at most text_length).
AttentionPattern layer_pattern(const TransformerConfig& config, int32_t layer, int32_t text_slots);
std::vector<AttentionPattern> layer_patterns(const TransformerConfig& config, int32_t text_slots);

/// A caption's ids as the model takes them: bos and eos where the layout has them, cut or refused when too
/// long, then one padding token of its own per free position.
struct TextSlots {
  int32_t bos = -1, eos = -1;  ///< Needed by the layout "bos_eos".
  bool truncate = false;
};
std::vector<int64_t> fill_text_slots(const TransformerConfig& config, const std::vector<int32_t>& ids,
                                     const TextSlots& options);
/// Padding alone: the unconditional prompt of guidance.
std::vector<int64_t> empty_text_slots(const TransformerConfig& config, const TextSlots& options);

}  // namespace dalle1::transformer
