// Numbers in text that people write: decimal, whole, and never another number than the one that is written.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <string_view>

namespace dalle1::text {

/// All of `text` as a decimal T, with a sign in front if need be; nothing when it is something else
/// (hexadecimal, "nan", "inf", spaces) or does not fit T. "010" is ten.
template <typename T>
requires std::integral<T> || std::floating_point<T> std::optional<T> parse_number(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::floating_point<T>)
    if (!std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace dalle1::text
