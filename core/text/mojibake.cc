#include "core/text/mojibake.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/text/unicode.h"
#include "core/text/utf8.h"
#include "core/text/windows1252.h"

namespace dalle1::text {
namespace {

// The byte that was shown as `c`: Latin-1's C1 controls and Windows-1252 share no byte with different
// meanings.
int misread_byte(char32_t c) { return c >= 0x80 && c < 0xA0 ? static_cast<int>(c) : to_windows1252(c); }

constexpr char32_t lost = U'\uFFFD';  // shown for a byte that some program could not read

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

bool is_continuation(char32_t c) {
  const int byte = misread_byte(c);
  return byte >= 0x80 && byte < 0xC0;
}

// Continuation bytes that sound text does not have after its letters.
bool ends_sequences(char32_t c) {
  static constexpr std::u32string_view common =
      U"\u00A0\u2013\u2014\u2018\u2019\u201A\u201C\u201D\u201E\u2026";
  return is_continuation(c) && common.find(c) == common.npos;
}

// Bytes of the sequence that a lead byte begins; 0 for any other byte.
size_t sequence_length(int lead) {
  if (lead < 0xC2 || lead > 0xF4) return 0;
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Whether a space at `place` after the lead byte is likely to have been a no-break space, byte A0: where that
// gives characters that people write. (Ogham, Mongolian and the like they hardly do.)
bool may_hold_space(int lead, size_t place, size_t length) {
  if (length == 2)
    return lead == 0xC2 || lead == 0xC3 || lead == 0xC5 || lead == 0xCE || lead == 0xD0 || lead == 0xD9;
  if (length == 3) return place == 1 ? lead == 0xE2 || lead == 0xE3 : lead <= 0xE3;
  return lead == 0xF0;
}

// "Ã" alone is the French and Portuguese word "à", whose own space is still there, unless another space
// follows or what is written as one word with it.
bool keeps_its_space(std::u32string_view after) {
  for (const std::u32string_view joined : {U" ", U"quele", U"quela", U"quilo", U"s "})
    if (after.starts_with(joined)) return false;
  return true;
}

// A sequence of which one byte, the no-break space A0, was made a plain space.
Hidden spaced_at(std::u32string_view text, size_t at) {
  const int lead = misread_byte(text[at]);
  const size_t length = sequence_length(lead);
  if (length == 0 || length > text.size() - at) return {};
  std::string bytes(1, static_cast<char>(lead));
  int spaces = 0;
  for (size_t place = 1; place < length; ++place) {
    const char32_t c = text[at + place];
    const bool space = c == U' ' && may_hold_space(lead, place, length);
    const bool other = is_continuation(c) && (length != 3 || (c != 0xA0 && misread_byte(c) != 0x85));
    if (!space && !other) return {};
    spaces += space;
    bytes += space ? '\xA0' : static_cast<char>(misread_byte(c));
  }
  const CodePoint point = first_code_point(bytes);
  if (spaces != 1 || point.length != static_cast<int>(length)) return {};
  const bool grave = point.value == U'à' && keeps_its_space(text.substr(at + 2));
  return {point.value, grave ? 1 : length};
}

// A sequence of which bytes are lost, shown as U+FFFD or one of them as "?": it stands for U+FFFD.
Hidden lossy_at(std::u32string_view text, size_t at) {
  if (text[at] == lost) return {lost, 1};
  const int lead = misread_byte(text[at]);
  const size_t length = sequence_length(lead);
  if (length == 0 || length > text.size() - at) return {};
  int lost_bytes = 0, questions = 0;
  for (const char32_t c : text.substr(at + 1, length - 1)) {
    if (c != lost && c != U'?' && !is_continuation(c)) return {};
    lost_bytes += c == lost;
    questions += c == U'?';
  }
  if (questions > 1 || lost_bytes + questions == 0 || (length == 2 && questions > 0 && lead > 0xC3))
    return {};
  return {lost, length};
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
  // Letters that UTF-8 makes all the time and few words begin or end with.
  static constexpr std::u32string_view leads = U"\u00C2\u00C3\u00CE\u00D0";
  return leads.find(text[at]) != leads.npos && !is_uppercase(before);
}

// "â€" before a space, and "Ã" and "Â" that follow a word or begin a line.
bool is_spaced_evidence(std::u32string_view text, size_t at) {
  if (text.substr(at).starts_with(U"\u00E2\u20AC ")) return true;
  if ((text[at] != U'\u00C2' && text[at] != U'\u00C3') || !text.substr(at + 1).starts_with(U' '))
    return false;
  const auto is_small = [](char32_t c) { return c >= 'a' && c <= 'z'; };
  if (at == 0 || is_small(text[at - 1])) return true;
  if (at < 2 || !is_space(text[at - 1])) return false;
  static constexpr std::u32string_view ends = U".,?!\u00AE\u00BB\u02DD\u201D\u203A\u2122";
  const bool after_end =
      text[at] == U'\u00C2' && text[at - 1] == U' ' && ends.find(text[at - 2]) != ends.npos;
  return is_small(text[at - 2]) || after_end;
}

// A lead byte before a byte that is lost; a question mark must follow more than a letter.
bool is_lossy_evidence(std::u32string_view text, size_t at) {
  const Hidden hidden = lossy_at(text, at);
  if (hidden.length < 2) return false;
  return text.substr(at, hidden.length).find(lost) != text.npos ||
         text.substr(at).starts_with(U"\u00E2\u20AC");
}

// The whole text as the bytes of Latin-1 or Windows-1252 read as UTF-8; nothing where it is not that.
std::optional<std::u32string> decode_whole(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Hidden next{text[at], 1};
    if (text[at] >= 0x80) {
      next = hidden_at(text, at);
      if (next.length == 0) next = spaced_at(text, at);
      if (next.length == 0) next = lossy_at(text, at);
      if (next.length == 0) return std::nullopt;
    }
    out += next.value;
    at += next.length;
  }
  return out;
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
    if (hidden.length > 0) {
      run.damaged = run.damaged || is_evidence(text, at, hidden.length);
    } else {
      // The published repair sees no more than the run: "Ã" at its end keeps its space. After a mark that
      // could be a sequence's last byte no run begins so.
      hidden = spaced_at(text.substr(0, at + 4), at);
      if (hidden.value == U'à') hidden = spaced_at(text.substr(0, at + 2), at);
      if (hidden.length == 0 || (run.length == 0 && begin > 0 && ends_sequences(text[begin - 1]))) break;
      run.damaged = run.damaged || is_spaced_evidence(text.substr(begin), run.length);
    }
    run.decoded += hidden.value;
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
  for (size_t at = 0; at < text.size(); ++at) {
    const Hidden hidden = hidden_at(text, at);
    if (hidden.length > 0 ? is_evidence(text, at, hidden.length)
                          : is_spaced_evidence(text, at) || is_lossy_evidence(text, at))
      return true;
    if (hidden.length > 0) at += hidden.length - 1;
  }
  return false;
}

}  // namespace

std::u32string repair_mojibake(std::u32string_view text) {
  std::u32string out(text);
  while (has_evidence(out)) {  // each pass is shorter than the one before or has fewer "Ã"
    std::u32string next = decode_whole(out).value_or(out);
    if (next == out) next = decode_runs(out);
    if (next == out) break;
    out = std::move(next);
  }
  return out;
}

}  // namespace dalle1::text
