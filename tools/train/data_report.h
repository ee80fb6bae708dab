// What a command that reads training data says of it: what is left out, and which samples are broken.
#pragma once

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "core/data/data_summary.h"
#include "tools/program/options.h"

namespace dalle1::tools {

/// Lines go to stderr unless the command is quiet.
class DataReport {
 public:
  explicit DataReport(const CommonOptions& common) : common_(common) {}

  void add(const DataSummary& summary) { summary_.add(summary); }
  /// Counts a broken sample and prints "skipped: ..."; may be called from any thread as long as this object
  /// lives.
  std::function<void(const std::string&)> on_bad();

  /// Instead of what was counted here: of all parts of a run that was resumed.
  void set_counts(uint64_t without_caption, uint64_t skipped);

  /// "data: 12,345 samples; left out: 3 .webp, 2 hidden; 5 without caption; 1 broken and skipped": what is
  /// not zero. Nothing when it would be the same line again.
  void print();
  /// {"samples", "left_out": {".webp": 3, ...}, "without_caption", "skipped"}
  nlohmann::ordered_json json() const;

 private:
  std::string line() const;
  uint64_t skipped() const;

  const CommonOptions& common_;
  DataSummary summary_;
  std::string printed_;
  mutable std::mutex mutex_;
  uint64_t skipped_ = 0;
};

}  // namespace dalle1::tools
