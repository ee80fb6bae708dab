// One part of a model as a native safetensors file, readable on its own: its configuration is in the
// metadata.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weights/checkpoint.h"

namespace dalle1::weights {

/// The metadata of a native part file: "dalle1.part" and "dalle1.config".
std::map<std::string, std::string> part_metadata(const std::string& part, const nlohmann::json& config);

/// A tensor on its way into a file. Either `bytes` are written as they are, or `values` are rounded.
struct PartTensor {
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::f32;  ///< As stored in the file.
  std::span<const std::byte> bytes;
  std::function<std::vector<float>()> values;  ///< Empty: write `bytes`.
};

/// Writes the tensors one at a time; one of i8 gets its `.scale` beside it. Error(output), or Error(model)
/// for a value that the type cannot hold.
void write_part_tensors(const std::filesystem::path& file, const std::vector<PartTensor>& tensors,
                        const std::map<std::string, std::string>& metadata);

/// A checkpoint as a native part file. Without `dtype` each tensor keeps its type, and every bit of it.
void write_part(const std::filesystem::path& file, const Checkpoint& checkpoint, std::optional<DType> dtype);

}  // namespace dalle1::weights
