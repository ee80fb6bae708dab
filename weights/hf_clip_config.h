// The config.json that Hugging Face keeps beside its CLIPs (transformers, configuration_clip.py), and their
// preprocessor_config.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dalle1::weights {

bool is_hf_clip_config(const nlohmann::json& config);

/// The same in native terms (clip/config.h), with that library's defaults where a field is absent.
/// Error(model) names a field with a value that has no counterpart here.
nlohmann::json from_hf_clip(const std::string& name, const nlohmann::json& config);

/// Adds mean and deviation of preprocessor_config.json. Error(model) where pictures are prepared otherwise
/// than CLIP's: by the shorter side, bicubic, then the centre.
void add_hf_preprocessing(const std::string& name, const nlohmann::json& preprocessor,
                          nlohmann::json& config);

}  // namespace dalle1::weights
