#include "core/text/mojibake.h"

#include <algorithm>
#include <cstdint>

#include "core/text/unicode.h"
#include "core/text/utf8.h"
#include "core/text/windows1252.h"

namespace dalle1::text {
namespace {

// The byte that was shown as `c`: Latin-1's C1 controls and Windows-1252 share no byte with different
// meanings.
int misread_byte(char32_t c) { return c >= 0x80 && c < 0xA0 ? static_cast<int>(c) : to_windows1252(c); }

// One UTF-8 sequence hidden in text: the code point it stands for and how many characters show it.
struct Hidden {
  char32_t value = 0;
  size_t length = 0;  // 0: none here
};

Hidden hidden_at(std::u32string_view text, size_t at) {
  std::string bytes;
  for (size_t i = at; i < std::min(at + 4, text.size()); ++i) {
    const int byte = misread_byte(text[i]);
    if (byte < 0x80) break;
    bytes += static_cast<char>(byte);
  }
  if (bytes.size() < 2) return {};
  const CodePoint point = first_code_point(bytes);
  return {point.value, point.length > 1 ? static_cast<size_t>(point.length) : 0};
}

// Marks that follow a letter in sound text: quotes, dashes, dots and what a name is marked with.
bool follows_letters(char32_t c) {
  static constexpr std::u32string_view marks =
      U"\u201A\u201E\u2026\u2039\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u203A"
      U"\u2122\u00A0\u00AB\u00BB\u00AE\u00B0\u00A9\u00B9\u00B2\u00B3\u00AA\u00BA\u00B7\u00A1\u00BF\u00B4";
  return marks.find(c) != marks.npos;
}

// Marks that sound text also has between two letters.
bool joins_letters(char32_t c) {
  return c == 0x2019 || c == 0x2013 || c == 0x2014 || c == 0x2026 || c == 0x2022 || c == 0x00B7;
}

// Whether the sequence cannot be meant as it stands. Only marks after an accented letter can: a word's last
// letter and what closes it.
bool is_evidence(std::u32string_view text, size_t at, size_t length) {
  const std::u32string_view tail = text.substr(at + 1, length - 1);
  if (!std::all_of(tail.begin(), tail.end(), follows_letters)) return true;
  const char32_t before = at > 0 ? text[at - 1] : U' ',
                 after = at + length < text.size() ? text[at + length] : U' ';
  if (is_uppercase(text[at]) && is_letter(before) && !is_uppercase(before))
    return true;  // a capital inside a word
  if (length > 2) return false;
  const bool joined = joins_letters(tail[0]) || (tail[0] == 0xA0 && is_uppercase(after));
  if (is_letter(after) && !joined) return true;
  // Two letters that UTF-8 makes all the time and few words begin or end with.
  return (text[at] == U'\u00C2' || text[at] == U'\u00C3') && !is_uppercase(before);
}

// The whole text as the bytes of Latin-1 or Windows-1252 read as UTF-8; empty where it is not that.
std::u32string decode_whole(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (char32_t c : text) {
    const int byte = misread_byte(c);
    if (byte < 0) return {};
    bytes += static_cast<char>(byte);
  }
  std::u32string out = to_code_points_lossy(bytes);
  const bool sound = out.find(U'\uFFFD') == out.npos && out.size() < text.size();
  return sound ? out : std::u32string();
}

// A run of hidden sequences without a gap: damaged all through if one of them is evidence.
struct Run {
  std::u32string decoded;
  size_t length = 0;
  bool damaged = false;
};

Run run_at(std::u32string_view text, size_t begin) {
  Run run;
  for (Hidden hidden; begin + run.length < text.size(); run.length += hidden.length) {
    const size_t at = begin + run.length;
    hidden = hidden_at(text, at);
    if (hidden.length == 0) break;
    run.decoded += hidden.value;
    run.damaged = run.damaged || is_evidence(text, at, hidden.length);
  }
  return run;
}

std::u32string decode_runs(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Run run = run_at(text, at);
    const size_t length = std::max<size_t>(run.length, 1);
    out += run.damaged ? run.decoded : text.substr(at, length);
    at += length;
  }
  return out;
}

bool has_evidence(std::u32string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Run run = run_at(text, at);
    if (run.damaged) return true;
    at += std::max<size_t>(run.length, 1);
  }
  return false;
}

}  // namespace

std::u32string repair_mojibake(std::u32string_view text) {
  std::u32string out(text);
  while (has_evidence(out)) {  // each pass is shorter than the one before
    std::u32string whole = decode_whole(out);
    out = whole.empty() ? decode_runs(out) : std::move(whole);
  }
  return out;
}

}  // namespace dalle1::text
