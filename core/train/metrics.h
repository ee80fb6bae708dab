// The record of a training: metrics.jsonl is the truth; the table and the curves are derived from it.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dalle1 {

/// Appends one JSON object a line. Every row has "step".
class MetricsLog {
 public:
  /// Goes on with an existing file after dropping rows at or after `first_step` and a torn last line.
  MetricsLog(std::filesystem::path file, int64_t first_step);
  void write(const nlohmann::json& row);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

std::vector<nlohmann::json> read_metrics(const std::filesystem::path& file);

/// metrics.csv beside metrics.jsonl: one column per key, empty where a row has none.
void write_metrics_csv(const std::filesystem::path& jsonl);

}  // namespace dalle1
