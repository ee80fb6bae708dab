// The few Unicode operations that tokenizers need, on ICU.
#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

bool is_letter(char32_t c);     ///< General category L*.
bool is_number(char32_t c);     ///< General category N*.
bool is_uppercase(char32_t c);  ///< The Uppercase property.
/// White_Space, and the information separators U+001C..U+001F: what the published tokenizers call a space.
bool is_space(char32_t c);

bool is_white_space(char32_t c);  ///< The White_Space property.
/// \w: alphabetic, marks, digits, connectors, joiners (UTS 18, annex C).
bool is_word_character(char32_t c);

/// Full lower-casing without a locale: final sigma by context, U+0130 to two code points.
std::u32string lower_case(std::u32string_view text);
/// Character by character: every sigma to the same.
std::u32string lower_case_each(std::u32string_view text);
std::u32string upper_case(std::u32string_view text);
std::u32string to_nfc(std::u32string_view text);
std::u32string to_nfkc(std::u32string_view text);

/// Without the spaces at both ends.
std::u32string_view strip(std::u32string_view text);

}  // namespace dalle1::text
