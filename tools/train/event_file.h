// TensorBoard's event files: figures of a training as they come.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace dalle1::tools {

/// Appends to a new file in `folder`. Format: records of TFRecord (length, data and the masked CRC-32C of
/// each) that hold the protocol buffer message Event of TensorFlow (core/util/event.proto).
class EventFile {
 public:
  /// Makes the folder. Error(output) when the file cannot be written.
  explicit EventFile(const std::filesystem::path& folder);

  /// Every number of `row` but "step" as a curve of its own. The first call of a process tells TensorBoard to
  /// forget what earlier files have from this step on, so that a resumed run draws one line.
  void write(int64_t step, const nlohmann::json& row);

  const std::filesystem::path& path() const { return path_; }

 private:
  void record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream out_;
  bool started_ = false;
};

}  // namespace dalle1::tools
