// What the value of a field may be.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace dalle1::config {

struct Rule {
  Range range = {};                            ///< Of a number, or of each number of a list.
  std::vector<std::string_view> choices = {};  ///< Of a text; of an enumeration its names, in their order.
  bool required = false;
  bool one_or_list = false;            ///< A list of one is written as its element.
  bool omit_empty = false;             ///< An empty list is not written.
  std::optional<bool> null_when = {};  ///< null may be given, for 0 or the default; written where true.
};

inline Rule within(double least, double most) { return {.range = {least, most}}; }
inline Rule at_least(double least) { return {.range = {.low = least}}; }
/// Without the ends.
inline Rule between(double low, double high) { return {.range = {low, high, true, true}}; }
inline Rule above(double low, double most) { return {.range = {low, most, true, false}}; }
/// From 0.
inline Rule below_one() { return {.range = {0, 1, false, true}}; }
inline Rule one_of(std::vector<std::string_view> choices) { return {.choices = std::move(choices)}; }
inline Rule required() { return {.required = true}; }

}  // namespace dalle1::config
