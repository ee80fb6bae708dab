// A folder as model hubs hand it out: weights, configuration and tokenizer of a CLIP under fixed names.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dalle1::weights {

struct HubDir {
  std::filesystem::path weights;
  std::vector<std::filesystem::path> configs;  ///< Of the model, and of its preprocessing.
  /// tokenizer.json alone, or vocab.json and merges.txt; empty: the tokenizer that all CLIPs share.
  std::vector<std::filesystem::path> tokenizer;
};

/// Nothing for a folder with none of the names that open_clip (open_clip_model.safetensors,
/// open_clip_pytorch_model.bin) and Hugging Face (model.safetensors, pytorch_model.bin) give to weights.
/// open_clip's come first where both are there.
std::optional<HubDir> find_hub_dir(const std::filesystem::path& folder);

/// All of them, the weights first.
std::vector<std::filesystem::path> files_of(const HubDir& hub);

/// What its configurations say, in native terms; null without any. Errors as of read_config().
nlohmann::json config_of(const HubDir& hub);

/// The text of its tokenizer's tokenizer.json. Error(model) names a file that is not what it is called.
std::string tokenizer_text(const HubDir& hub);

}  // namespace dalle1::weights
