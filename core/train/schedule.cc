#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace dalle1 {

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

void Schedule::visit(auto& self, auto& field) {
  field("kind", self.kind, config::one_of({"constant", "cosine", "linear"}));
  field("first", self.first, config::required());
  field("last", self.last, {}, self.first);
  field("warmup", self.warmup);
  field("begin", self.begin);
  field("end", self.end);
}

void read_field(const nlohmann::json& json, Schedule& schedule, const config::Place& place) {
  schedule = {};
  if (json.is_number()) {
    schedule.first = schedule.last = value_of<double>(json, place.path, place.kind);
    return;
  }
  check(json.is_object(), place.kind,
        "'{}' must be a number or an object with kind, first, last, warmup, begin, end", place.path);
  config::read(json, schedule, place);
}

}  // namespace dalle1
