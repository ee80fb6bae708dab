#include "core/text/unicode.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "core/error.h"

namespace dalle1::text {
namespace {

static_assert(sizeof(UChar32) == sizeof(char32_t));

icu::UnicodeString to_icu(std::u32string_view text) {
  check(text.size() < (1u << 29), ErrorKind::input, "a text of {} characters is too long", text.size());
  return icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                       static_cast<int32_t>(text.size()));
}

std::u32string from_icu(const icu::UnicodeString& text) {
  std::u32string out(static_cast<size_t>(text.countChar32()), U'\0');
  UErrorCode status = U_ZERO_ERROR;
  text.toUTF32(reinterpret_cast<UChar32*>(out.data()), static_cast<int32_t>(out.size()), status);
  check(U_SUCCESS(status), ErrorKind::internal, "ICU: {}", u_errorName(status));
  return out;
}

std::u32string normalize(std::u32string_view text, const icu::Normalizer2* (*instance)(UErrorCode& status)) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = instance(status);
  check(U_SUCCESS(status), ErrorKind::internal, "ICU: {}", u_errorName(status));
  const icu::UnicodeString out = normalizer->normalize(to_icu(text), status);
  check(U_SUCCESS(status), ErrorKind::internal, "ICU: {}", u_errorName(status));
  return from_icu(out);
}

}  // namespace

bool is_letter(char32_t c) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0; }
bool is_number(char32_t c) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0; }
bool is_uppercase(char32_t c) { return u_isUUppercase(static_cast<UChar32>(c)); }
bool is_space(char32_t c) { return (c >= 0x1C && c <= 0x1F) || is_white_space(c); }
bool is_word_character(char32_t c) {
  const auto point = static_cast<UChar32>(c);
  return u_isUAlphabetic(point) ||
         (U_GET_GC_MASK(point) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL);
}
bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0; }

std::u32string lower_case(std::u32string_view text) {
  return from_icu(to_icu(text).toLower(icu::Locale::getRoot()));
}
std::u32string lower_case_each(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (c == 0x0130)
      out += U"i\u0307";  // the one character that becomes two
    else
      out += static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
  }
  return out;
}
std::u32string upper_case(std::u32string_view text) {
  return from_icu(to_icu(text).toUpper(icu::Locale::getRoot()));
}
std::u32string to_nfc(std::u32string_view text) { return normalize(text, icu::Normalizer2::getNFCInstance); }
std::u32string to_nfkc(std::u32string_view text) {
  return normalize(text, icu::Normalizer2::getNFKCInstance);
}

std::u32string_view strip(std::u32string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace dalle1::text
