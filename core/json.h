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
/// "'NAME' must be
/// ..., not ..." unless it is one. Nothing is rounded, wrapped or taken for another kind: 1.5, -1 for an
/// unsigned T, 1e99, true and "1" are no integers.
template <typename T>
T value_of(const auto& json, const std::string& name, ErrorKind kind = ErrorKind::input) {
  const auto expect = [&](bool holds, std::string_view what) {
    if (holds) return;
    constexpr size_t most = 200;  // of a value in an error
    const auto text = json.dump(-1, ' ', false, std::decay_t<decltype(json)>::error_handler_t::replace);
    fail(kind, "'{}' must be {}, not {}", name, what,
         text.size() <= most ? text : text.substr(0, most) + "...");
  };
  if constexpr (std::same_as<T, bool>) {
    expect(json.is_boolean(), "true or false");
  } else if constexpr (std::integral<T>) {
    using Limits = std::numeric_limits<T>;
    if (!detail::holds_integer<T>(json))
      expect(false, fmt::format("a whole number from {} to {}", Limits::min(), Limits::max()));
  } else if constexpr (std::floating_point<T>) {
    expect(detail::holds_number<T>(json), "a number");
  } else if constexpr (std::same_as<T, std::string>) {
    expect(json.is_string(), "a text");
  } else if constexpr (requires(T list) { list.emplace_back(); }) {
    expect(json.is_array(), "a list");
    T list;
    for (const auto& entry : json) list.push_back(value_of<typename T::value_type>(entry, name, kind));
    return list;
  } else {
    T list;
    expect(json.is_array() && json.size() == list.size(), fmt::format("a list of {}", list.size()));
    for (size_t i = 0; i < list.size(); ++i) list[i] = value_of<typename T::value_type>(json[i], name, kind);
    return list;
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
