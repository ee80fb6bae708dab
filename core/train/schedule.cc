#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <string_view>

#include "core/json.h"

namespace dalle1 {
namespace {

constexpr std::string_view kFields[] = {"kind", "first", "last", "warmup", "begin", "end"};

}  // namespace

double Schedule::at(int64_t step) const {
  double value = first;
  if (kind != ScheduleKind::constant) {
    const double span = static_cast<double>(std::max<int64_t>(1, end - begin));
    const double progress = std::min(1.0, std::max(0.0, static_cast<double>(step - begin) / span));
    const double share =
        kind == ScheduleKind::linear ? progress : 0.5 * (1.0 - std::cos(std::numbers::pi * progress));
    value = first + (last - first) * share;
  }
  return step < warmup ? value * static_cast<double>(step + 1) / static_cast<double>(warmup) : value;
}

Schedule schedule_from_json(const nlohmann::json& json, const std::string& field) {
  Schedule schedule;
  if (json.is_number()) {
    schedule.first = schedule.last = value_of<double>(json, field);
    return schedule;
  }
  check(json.is_object(), ErrorKind::input,
        "'{}' must be a number or an object with kind, first, last, warmup, begin, end", field);
  for (const auto& [key, value] : json.items())
    check(std::ranges::find(kFields, key) != std::end(kFields), ErrorKind::input,
          "'{}.{}' is not a known field", field, key);
  const auto read = [&](const char* name, const auto& fallback) {
    return value_or(json, name, fallback, ErrorKind::input, field + ".");
  };
  const auto kind = read("kind", std::string("constant"));
  check(kind == "constant" || kind == "cosine" || kind == "linear", ErrorKind::input,
        "'{}.kind' is '{}'; use constant, cosine or linear", field, kind);
  schedule.kind = kind == "cosine"   ? ScheduleKind::cosine
                  : kind == "linear" ? ScheduleKind::linear
                                     : ScheduleKind::constant;
  check(json.contains("first"), ErrorKind::input, "'{}' has no 'first'", field);
  schedule.first = read("first", 0.0);
  schedule.last = read("last", schedule.first);
  schedule.warmup = read("warmup", int64_t{0});
  schedule.begin = read("begin", int64_t{0});
  schedule.end = read("end", int64_t{0});
  return schedule;
}

}  // namespace dalle1
