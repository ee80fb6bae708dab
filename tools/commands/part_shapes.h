// Which tensors a configuration asks for, so that a checkpoint can be checked without building a large model.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/safetensors.h"

namespace dalle1::tools {

/// Names and shapes of the parameters of a part ("dvae", "transformer", "clip" or "captioner"). A transformer
/// is built with one layer, which stands for all. Error(model) when the configuration makes no model.
std::vector<weights::TensorSpec> expected_tensors(std::string_view part, const nlohmann::json& config);

/// Error(model) that lists what is missing, extra and of another shape.
void check_part(const weights::Checkpoint& checkpoint);

}  // namespace dalle1::tools
