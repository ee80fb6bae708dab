#include "core/train/metrics.h"

#include <set>
#include <sstream>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/io/text_file.h"

namespace dalle1 {

std::vector<nlohmann::json> read_metrics(const std::filesystem::path& file) {
  std::vector<nlohmann::json> rows;
  if (!std::filesystem::exists(file)) return rows;
  std::istringstream lines(read_text(file));  // not TextLines: a machine that loses power leaves torn ends
  for (std::string line; std::getline(lines, line);) {
    auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object() && row.contains("step") && row["step"].is_number_integer())
      rows.push_back(std::move(row));
  }
  return rows;
}

MetricsLog::MetricsLog(std::filesystem::path file, int64_t first_step) : path_(std::move(file)) {
  std::string kept;
  for (const auto& row : read_metrics(path_)) {
    if (row["step"].get<int64_t>() < first_step) kept += row.dump() + "\n";
  }
  write_file_atomically(path_, kept);
  out_.open(path_, std::ios::app);
  check(out_.good(), ErrorKind::output, "{}: cannot be written", path_.string());
}

void MetricsLog::write(const nlohmann::json& row) {
  out_ << row.dump() << '\n' << std::flush;
  check(out_.good(), ErrorKind::output, "{}: cannot be written; is the disk full?", path_.string());
}

void write_metrics_csv(const std::filesystem::path& jsonl) {
  const auto rows = read_metrics(jsonl);
  std::set<std::string> keys;
  for (const auto& row : rows) {
    for (const auto& [key, value] : row.items()) {
      if (value.is_number()) keys.insert(key);
    }
  }
  keys.erase("step");
  std::string table = "step";
  for (const auto& key : keys) table += "," + key;
  table += "\n";
  for (const auto& row : rows) {
    table += row["step"].dump();
    for (const auto& key : keys)
      table += row.contains(key) && row[key].is_number() ? "," + row[key].dump() : ",";
    table += "\n";
  }
  auto path = jsonl;
  write_file_atomically(path.replace_extension(".csv"), table);
}

}  // namespace dalle1
