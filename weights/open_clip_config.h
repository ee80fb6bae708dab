// The configurations that open_clip publishes beside its CLIPs (github.com/mlfoundations/open_clip,
// model_configs/*.json, and open_clip_config.json with a "model_cfg" and a "preprocess_cfg").
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dalle1::weights {

bool is_open_clip_config(const nlohmann::json& config);

/// The same in native terms (clip/config.h), with open_clip's defaults for heads, MLP widths and activation:
/// heads of 64, four times the width, "gelu". Error(model) names a field that has no counterpart here: such a
/// CLIP has another architecture.
nlohmann::json from_open_clip(const std::string& name, const nlohmann::json& config);

}  // namespace dalle1::weights
