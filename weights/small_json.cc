#include "weights/small_json.h"

#include <algorithm>

#include "core/error.h"
#include "core/text/utf8.h"

namespace dalle1::weights {

namespace {

/// "line 3, column 8" of a byte, and what is there when it is a number that JSON does not have.
std::string place_in(std::string_view text, size_t byte) {
  byte = std::min(byte, text.size());
  if (byte > 0 && text[byte - 1] == '-') --byte;  // a number begins with its sign
  const std::string_view before = text.substr(0, byte);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t column = byte - (before.rfind('\n') + 1) + 1;
  std::string place = fmt::format("line {}, column {}", line, column);
  for (const std::string_view number : {"NaN", "Infinity", "-Infinity"})
    if (text.substr(byte).starts_with(number)) place += fmt::format(": {} is no number of JSON", number);
  return place;
}

}  // namespace

nlohmann::json parse_small_json(const std::string& name, std::string_view text) {
  check(text.size() <= largest_small_json, ErrorKind::model, "{}: {} bytes of JSON; the limit is {}", name,
        text.size(), largest_small_json);
  auto limit_depth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    check(depth <= deepest_json, ErrorKind::model, "{}: JSON nested deeper than {}", name, deepest_json);
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), limit_depth);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::model, "{}: not JSON at {}", name, place_in(text, error.byte ? error.byte - 1 : 0));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::model, "{}: {}", name, error.what());
  }
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const int length = text::first_code_point(text).length;
    if (length == 0) return false;
    text.remove_prefix(static_cast<size_t>(length));
  }
  return true;
}

std::string printable(std::string_view text) {
  constexpr size_t limit = 80;
  std::string out;
  for (char c : text.substr(0, limit))
    out += c >= ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text.size() > limit ? out + "..." : out;
}

}  // namespace dalle1::weights
