// How a quantity runs over the steps of a training.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

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
};

/// A number (constant) or an object with the fields above. Error(input) names the field
/// when it is neither, or a field that is not one of these.
Schedule schedule_from_json(const nlohmann::json& json, const std::string& field);

}  // namespace dalle1
