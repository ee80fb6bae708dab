// How a quantity runs over the steps of a training.
#pragma once

#include <cstdint>

#include "core/config/fields.h"

namespace dalle1 {

enum class ScheduleKind : uint8_t { constant, cosine, linear };

/// Linear warm-up from 0 over `warmup` steps, then from `first` to `last` over the steps [begin, end):
/// constant stays at `first`; cosine is half a period (Loshchilov and Hutter 2017); linear a straight line.
/// Before `begin` it is `first`, from `end` on `last`.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  double first = 1.0;
  double last = 1.0;
  int64_t warmup = 0;
  int64_t begin = 0;
  int64_t end = 0;

  double at(int64_t step) const;
  static void visit(auto& self, auto& field);
};

/// A number (constant) or an object with the fields above; `last` is `first` where it is absent. Error names
/// the field when it is neither, or a field that is not one of these.
void read_field(const nlohmann::json& json, Schedule& schedule, const config::Place& place);

}  // namespace dalle1
