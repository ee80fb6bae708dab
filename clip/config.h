// The shape of a CLIP model (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
// Supervision").
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dalle1::text {
class Tokenizer;
}

namespace dalle1::clip {

struct ClipConfig {
  int64_t embed_dim = 512;
  int64_t image_resolution = 224;
  /// One number: a Vision Transformer. Four: the modified ResNet's stages.
  std::vector<int64_t> vision_layers{12};
  int64_t vision_width = 768;
  int64_t vision_patch_size = 32;  ///< 0 for the ResNet.
  int64_t vision_heads = 0;        ///< Of the ResNet: of its attention pool. 0: of 64 channels each.
  int64_t vision_mlp_width = 0;    ///< Hidden channels of a block's MLP. 0: four times the width.
  int64_t context_length = 77;
  int64_t vocab_size = 49408;
  int64_t transformer_width = 512;
  int64_t transformer_heads = 8;
  int64_t transformer_layers = 12;
  int64_t transformer_mlp_width = 0;  ///< 0: four times the width.
  /// Of the MLPs: "quick_gelu" (OpenAI's) or "gelu" (most of open_clip's); see ops::activation_from_name.
  std::string activation = "quick_gelu";
  /// Where a text ends: the feature is taken at the first position that holds this id. -1: at the largest id,
  /// as OpenAI does (its end token is the largest).
  int64_t end_token = -1;
  std::array<float, 3> mean{0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> deviation{0.26862954f, 0.26130258f, 0.27577711f};

  static void visit(auto& self, auto& field);
  bool is_resnet() const { return vision_layers.size() == 4; }
  /// Channels that the vision heads share: the ResNet's last stage has 32 times its width.
  int64_t vision_channels() const { return is_resnet() ? vision_width * 32 : vision_width; }
  /// With the numbers that zeros stand for. Error(model) when the heads are not told and 64 does not divide.
  ClipConfig resolved() const;
  nlohmann::json to_json() const;  ///< Of all fields, resolved.
  /// to_json() without heads, MLP widths and activation where they are what the other fields imply: what
  /// version 0.1 wrote, so that its trainings are resumed.
  nlohmann::json identity() const;
};

/// Error(model), with both numbers, when the tokenizer has more tokens than the CLIP or ends texts with
/// another.
void check_fits(const ClipConfig& config, const text::Tokenizer& tokenizer);

/// Absent fields keep their defaults, resolved. Error(model) names an unknown or impossible one.
ClipConfig clip_config_from_json(const nlohmann::json& json);

}  // namespace dalle1::clip
