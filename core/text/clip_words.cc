#include "core/text/clip_words.h"

#include "core/text/unicode.h"

namespace dalle1::text {
namespace {

constexpr std::u32string_view fixed_words[] = {start_of_text, end_of_text, U"'s",  U"'t", U"'re",
                                               U"'ve",        U"'m",       U"'ll", U"'d"};

// `word` is in lower case. Case folding adds one character to lower-casing: the long s.
bool begins_with(std::u32string_view text, std::u32string_view word) {
  if (text.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    char32_t c = text[i];
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    if (c == 0x017F) c = 's';
    if (c != word[i]) return false;
  }
  return true;
}

bool is_other(char32_t c) { return !is_space(c) && !is_letter(c) && !is_number(c); }

size_t word_length(std::u32string_view text) {
  for (const auto fixed : fixed_words)
    if (begins_with(text, fixed)) return fixed.size();
  if (is_number(text[0])) return 1;
  const bool letters = is_letter(text[0]);
  size_t length = 1;
  while (length < text.size() && (letters ? is_letter(text[length]) : is_other(text[length]))) ++length;
  return length;
}

}  // namespace

void for_each_clip_word(std::u32string_view text, const std::function<void(std::u32string_view word)>& word) {
  while (!text.empty()) {
    if (is_space(text[0])) {
      text.remove_prefix(1);
      continue;
    }
    const size_t length = word_length(text);
    word(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace dalle1::text
