#include "core/text/utf8.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::text {
namespace {

struct Lead {
  int length;                // 0: not a lead byte
  unsigned char low = 0x80;  // allowed range of the second byte
  unsigned char high = 0xBF;
};

// Table 3-7 of the Unicode standard.
Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

// How many bytes from the start could belong to one well-formed sequence.
int valid_prefix(std::string_view bytes, const Lead& lead) {
  int length = 1;
  unsigned char low = lead.low, high = lead.high;
  while (length < lead.length && length < static_cast<int>(bytes.size())) {
    const auto byte = static_cast<unsigned char>(bytes[length]);
    if (byte < low || byte > high) break;
    low = 0x80, high = 0xBF;
    ++length;
  }
  return length;
}

}  // namespace

CodePoint first_code_point(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  const Lead lead = lead_of(first);
  if (lead.length == 1) return {first, 1};
  if (lead.length == 0 || valid_prefix(bytes, lead) != lead.length) return {};
  char32_t value = first & (0x7F >> lead.length);
  for (int i = 1; i < lead.length; ++i) value = value << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3F);
  return {value, lead.length};
}

void check_utf8(std::string_view bytes, std::string_view what) {
  for (size_t at = 0; at < bytes.size();) {
    const int length = first_code_point(bytes.substr(at)).length;
    check(length > 0, ErrorKind::input, "{} is not valid UTF-8 at byte {} (0x{:02x}); save it as UTF-8", what,
          at, static_cast<unsigned char>(bytes[at]));
    at += length;
  }
}

std::u32string to_code_points(std::string_view utf8, std::string_view what) {
  check_utf8(utf8, what);
  return to_code_points_lossy(utf8);
}

std::u32string to_code_points_lossy(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const CodePoint point = first_code_point(bytes);
    out += point.length > 0 ? point.value : U'\uFFFD';
    bytes.remove_prefix(
        point.length > 0 ? point.length : valid_prefix(bytes, lead_of(static_cast<unsigned char>(bytes[0]))));
  }
  return out;
}

void append_utf8(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::string to_utf8(std::u32string_view code_points) {
  std::string out;
  out.reserve(code_points.size());
  for (char32_t c : code_points) append_utf8(out, c);
  return out;
}

}  // namespace dalle1::text
