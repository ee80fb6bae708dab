// What a checkpoint is, for `dalle1 info` and for records of how something was made.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "weights/checkpoint.h"

namespace dalle1::weights {

/// {"part", "format", "source", "config", "parameters", "bytes", "dtypes": {"f32": {"tensors", "elements",
/// "bytes"}}}, and with `list_tensors` "tensors": [{"name", "dtype", "shape"}].
nlohmann::ordered_json describe(const Checkpoint& checkpoint, bool list_tensors);

/// {"file", "bytes", "sha256"}. Reads the whole file.
nlohmann::ordered_json describe_file(const std::filesystem::path& path);

/// sha256 over names and contents of the tensors: the same whatever container they came in.
std::string sha256_of_tensors(const Checkpoint& checkpoint);

/// What describe() gives as lines for people.
std::string description_text(const nlohmann::ordered_json& description);

std::string bytes_text(double bytes);  ///< "24.6 GB", in powers of 1000.
std::string count_text(double count);  ///< "12.3 billion"; plain below a million.

}  // namespace dalle1::weights
