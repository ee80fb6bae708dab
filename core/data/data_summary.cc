#include "core/data/data_summary.h"

#include <fmt/format.h>

namespace dalle1 {

void DataSummary::add(const DataSummary& other) {
  samples += other.samples;
  without_caption += other.without_caption;
  for (const auto& [what, count] : other.left_out) left_out[what] += count;
}

std::string DataSummary::left_out_line() const {
  std::string text;
  for (const auto& [what, count] : left_out)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  return text;
}

}  // namespace dalle1
