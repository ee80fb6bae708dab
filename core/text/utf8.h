// UTF-8: strict decoding with the offset of the first bad byte, and encoding.
#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

struct CodePoint {
  char32_t value = 0;
  int length = 0;  ///< Bytes used; 0 where the bytes are not UTF-8.
};

/// The first code point of non-empty `bytes`. Overlong forms, surrogates and values above U+10FFFF are not
/// UTF-8.
CodePoint first_code_point(std::string_view bytes);

/// Throws Error(input) "WHAT is not valid UTF-8 at byte N" unless all of `bytes` is UTF-8.
void check_utf8(std::string_view bytes, std::string_view what = "the text");

/// Code points of `utf8`; throws as check_utf8.
std::u32string to_code_points(std::string_view utf8, std::string_view what = "the text");

/// Code points of `bytes`, each maximal bad part replaced by U+FFFD (as Unicode recommends and Python does).
std::u32string to_code_points_lossy(std::string_view bytes);

void append_utf8(std::string& out, char32_t code_point);
std::string to_utf8(std::u32string_view code_points);

}  // namespace dalle1::text
