// The safetensors format: an 8-byte header length, a JSON header, then the bytes of all tensors without
// holes.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/io/atomic_file.h"
#include "weights/checkpoint.h"
#include "weights/file_bytes.h"

namespace dalle1::weights {

constexpr uint64_t largest_safetensors_header = 100'000'000;

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;  ///< The header's "__metadata__".
  std::vector<RawTensor> tensors;  ///< In the order of their bytes; they share the file's memory.
};

/// Reads and checks the whole header: its length, JSON, duplicate keys, known dtypes, shapes that agree with
/// byte counts, data without overlap, hole or surplus. Error(model) names the file and the byte.
SafetensorsFile read_safetensors(const FileBytes& file);

/// Reads the shards that an index (`{"weight_map": {"tensor": "shard file", ...}}`) names, from the index's
/// folder. A tensor in the map but in no shard, or the reverse, is an Error(model).
SafetensorsFile read_safetensors_index(const std::filesystem::path& index);

struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
};

/// Writes a safetensors file one tensor at a time, so that memory never holds more than one.
class SafetensorsWriter {
 public:
  /// Tensors are written with the widest element type first, which aligns every one; specs() has the order.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                    const std::map<std::string, std::string>& metadata = {});

  const std::vector<TensorSpec>& specs() const { return specs_; }
  /// The bytes of the next tensor of specs().
  void append(std::span<const std::byte> bytes);
  /// After the last tensor: the file appears under its name. Returns its size in bytes.
  uint64_t commit();

 private:
  std::vector<TensorSpec> specs_;
  size_t next_ = 0;
  AtomicFile file_;
};

}  // namespace dalle1::weights
