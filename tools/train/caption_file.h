// A file of captions in the making: nothing of it is lost when the program is cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace dalle1::tools {

/// OUT appears when it is complete. OUT.progress says what decides its captions, then a line for each batch
/// of them; once OUT is there, what decided it and how many there are.
class CaptionFile {
 public:
  enum class Existing : uint8_t { refuse, resume, overwrite };

  /// Error(usage) when there is something and it is to be refused, or when it was made with other settings,
  /// which are named. The caller keeps other runs away.
  CaptionFile(std::filesystem::path out, nlohmann::json settings, Existing existing);

  bool complete() const { return complete_; }
  uint64_t next() const { return next_; }          ///< The first sample that is not in it.
  uint64_t captions() const { return captions_; }  ///< So far.
  uint64_t broken() const { return broken_; }      ///< Samples left out so far.

  /// The lines of the samples up to `next`, of which `broken` have none.
  void add(uint64_t next, uint64_t broken, const std::vector<nlohmann::ordered_json>& lines);
  /// Writes OUT.
  void finish();

 private:
  void begin();
  void take_up();
  void check_settings(const nlohmann::json& saved) const;
  void count(const nlohmann::ordered_json& batch);
  void open_to_append();

  std::filesystem::path out_, progress_;
  nlohmann::json settings_;
  std::ofstream file_;
  bool complete_ = false;
  uint64_t next_ = 0, captions_ = 0, broken_ = 0;
};

}  // namespace dalle1::tools
