// JSON that people write: where a document is wrong, and values that must be what they are taken for.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace dalle1 {

/// Error(kind) "NAME line L, column C: not JSON: ..." when `text` is not one JSON document; its first line is
/// `line` of the file.
nlohmann::json parse_json(std::string_view text, const std::string& name, ErrorKind kind = ErrorKind::input,
                          int64_t line = 1);

/// Numbers from `low` to `high`.
struct Range {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool above = false, below = false;  ///< Without `low` itself, without `high` itself.

  bool has(double value) const {
    return (above ? value > low : value >= low) && (below ? value < high : value <= high);
  }
  /// "", " of at least 1 and at most 8", " above 0 and below 1", ...
  std::string text() const;
};

/// The start of a value as an error shows it.
std::string text_of_value(const nlohmann::ordered_json& json);

namespace detail {

template <typename T>
bool holds_integer(const auto& json) {
  if (!json.is_number_integer()) return false;
  // A signed value that is not negative may come from code; what is parsed is unsigned then.
  if (json.is_number_unsigned() || json.template get<int64_t>() >= 0)
    return json.template get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max());
  if constexpr (std::unsigned_integral<T>)
    return false;
  else
    return json.template get<int64_t>() >= std::numeric_limits<T>::min();
}

template <typename T>
bool holds_number(const auto& json) {
  return json.is_number() && std::isfinite(static_cast<T>(json.template get<double>()));
}

}  // namespace detail

/// The JSON value as a T (bool, an integer, float, double, text, a list or array of these); Error(kind)
/// "'NAME' must be ..., not ..." unless it is one, with its numbers in `range`. Nothing is rounded, wrapped
/// or taken for another kind: 1.5, -1 for an unsigned T, 1e99, true and "1" are no integers.
template <typename T>
T value_of(const auto& json, const std::string& name, ErrorKind kind = ErrorKind::input,
           const Range& range = {}) {
  const auto expect = [&](bool holds, std::string_view what) {
    check(holds, kind, "'{}' must be {}, not {}", name, what, text_of_value(json));
  };
  const auto list_of = [&](auto list, const auto& put) {
    for (size_t i = 0; i < json.size(); ++i)
      put(list, i,
          value_of<typename decltype(list)::value_type>(json[i], fmt::format("{}[{}]", name, i), kind,
                                                        range));
    return list;
  };
  if constexpr (std::same_as<T, bool>) {
    expect(json.is_boolean(), "true or false");
  } else if constexpr (std::integral<T>) {
    constexpr auto least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
    if (!detail::holds_integer<T>(json) || !range.has(json.template get<double>()))
      expect(false, fmt::format("a whole number from {} to {}",
                                std::isfinite(range.low) ? static_cast<T>(range.low) : least,
                                std::isfinite(range.high) ? static_cast<T>(range.high) : most));
  } else if constexpr (std::floating_point<T>) {
    if (!detail::holds_number<T>(json) || !range.has(json.template get<T>()))
      expect(false, "a number" + range.text());
  } else if constexpr (std::same_as<T, std::string>) {
    expect(json.is_string(), "a text");
  } else if constexpr (requires(T list) { list.emplace_back(); }) {
    expect(json.is_array(), "a list");
    return list_of(T(), [](T& list, size_t, auto value) { list.push_back(std::move(value)); });
  } else {
    expect(json.is_array() && json.size() == T().size(), fmt::format("a list of {}", T().size()));
    return list_of(T(), [](T& list, size_t i, const auto& value) { list[i] = value; });
  }
  return json.template get<T>();
}

/// The member `name` of an object, or `fallback` where it has none. `prefix` ("train.") comes before its name
/// in the error.
template <typename T>
T value_or(const auto& object, const std::string& name, const T& fallback, ErrorKind kind = ErrorKind::input,
           std::string_view prefix = "") {
  const auto found = object.find(name);
  if (found == object.end()) return fallback;
  return value_of<T>(*found, std::string(prefix) + name, kind);
}

}  // namespace dalle1
