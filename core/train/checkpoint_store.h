// A folder of training checkpoints of which the newest complete one can always be loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/nn/parameters.h"

namespace dalle1 {

/// How named tensors and a JSON state are put into one file. core knows no file format: see
/// weights/training_state.h.
class StateFormat {
 public:
  virtual ~StateFormat() = default;
  /// Crash-safe: the file appears complete or not at all.
  virtual void write(const std::filesystem::path& path, const nlohmann::json& state,
                     const NamedTensors& tensors) const = 0;
  /// Fills the given tensors, all of which must be there in the same shapes, and returns the state.
  virtual nlohmann::json read(const std::filesystem::path& path, const NamedTensors& tensors) const = 0;
  /// The state alone.
  virtual nlohmann::json read_state(const std::filesystem::path& path) const = 0;
};

class CheckpointStore {
 public:
  CheckpointStore(std::filesystem::path folder, const StateFormat& format);

  /// Writes `checkpoint-STEP.safetensors`, then removes all but this and the previous one.
  void save(int64_t step, const nlohmann::json& state, const NamedTensors& tensors);
  /// Path of the newest readable checkpoint; a damaged newest one is passed over for the previous.
  std::optional<std::filesystem::path> latest() const;
  nlohmann::json load(const std::filesystem::path& path, const NamedTensors& tensors) const;

 private:
  std::vector<std::pair<int64_t, std::filesystem::path>> list() const;  // newest first

  std::filesystem::path folder_;
  const StateFormat& format_;
};

}  // namespace dalle1
