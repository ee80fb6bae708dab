// The shape of a CLIP model (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
// Supervision").
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace dalle1::clip {

struct ClipConfig {
  int64_t embed_dim = 512;
  int64_t image_resolution = 224;
  /// One number: a Vision Transformer. Four: the modified ResNet's stages.
  std::vector<int64_t> vision_layers{12};
  int64_t vision_width = 768;
  int64_t vision_patch_size = 32;  ///< 0 for the ResNet.
  int64_t context_length = 77;
  int64_t vocab_size = 49408;
  int64_t transformer_width = 512;
  int64_t transformer_heads = 8;
  int64_t transformer_layers = 12;
  /// Where a text ends: the feature is taken at the first position that holds this id. -1: at the largest id,
  /// as OpenAI does (its end token is the largest).
  int64_t end_token = -1;
  std::array<float, 3> mean{0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> deviation{0.26862954f, 0.26130258f, 0.27577711f};

  bool is_resnet() const { return vision_layers.size() == 4; }
  int64_t vision_heads() const { return is_resnet() ? vision_width * 32 / 64 : vision_width / 64; }
  nlohmann::json to_json() const;
};

/// Absent fields keep their defaults. Error(model) names an unknown or impossible one.
ClipConfig clip_config_from_json(const nlohmann::json& json);

}  // namespace dalle1::clip
