#include "tools/train/data_report.h"

#include <fmt/format.h>

#include "tools/program/progress.h"

namespace dalle1::tools {

std::function<void(const std::string&)> DataReport::on_bad() {
  return [this](const std::string& line) {
    const std::lock_guard lock(mutex_);
    ++skipped_;
    tell(common_, {{"event", "skipped"}, {"why", line}}, "skipped: " + line);
  };
}

uint64_t DataReport::skipped() const {
  const std::lock_guard lock(mutex_);
  return skipped_;
}

void DataReport::set_counts(uint64_t without_caption, uint64_t skipped) {
  const std::lock_guard lock(mutex_);
  summary_.without_caption = without_caption;
  skipped_ = skipped;
}

std::string DataReport::line() const {
  const auto count = [](uint64_t number) { return grouped(static_cast<int64_t>(number)); };
  std::string text =
      fmt::format("data: {} sample{}", count(summary_.samples), summary_.samples == 1 ? "" : "s");
  if (!summary_.left_out.empty()) text += "; left out: " + summary_.left_out_line();
  if (summary_.without_caption > 0)
    text += fmt::format("; {} without caption", count(summary_.without_caption));
  if (skipped() > 0) text += fmt::format("; {} broken and skipped", count(skipped()));
  return text;
}

void DataReport::print() {
  const std::string text = line();
  if (std::exchange(printed_, text) == text) return;
  nlohmann::ordered_json event = {{"event", "data"}};
  event.update(json());
  tell(common_, event, text);
}

nlohmann::ordered_json DataReport::json() const {
  return {{"samples", summary_.samples},
          {"left_out", summary_.left_out},
          {"without_caption", summary_.without_caption},
          {"skipped", skipped()}};
}

}  // namespace dalle1::tools
