#include "core/data/data_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/data/no_data.h"

namespace dalle1 {

DataLines::DataLines(const std::filesystem::path& file) : name_(file.string()), file_(file) {
  refuse_no_data(file_.bytes(), name_);
  rest_ = {reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size()};
}

std::optional<std::string_view> DataLines::next() {
  while (!rest_.empty()) {
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
    ++number_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) return line;
  }
  return std::nullopt;
}

std::string DataLines::where() const { return fmt::format("{}, line {}", name_, number_); }

}  // namespace dalle1
