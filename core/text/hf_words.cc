#include "core/text/hf_words.h"

#include "core/text/unicode.h"

namespace dalle1::text {
namespace {

constexpr std::u32string_view contractions[] = {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"};

enum class CharacterClass { letter, number, space, other };

CharacterClass class_of(char32_t c) {
  if (is_letter(c)) return CharacterClass::letter;
  if (is_number(c)) return CharacterClass::number;
  return is_white_space(c) ? CharacterClass::space : CharacterClass::other;
}

// From `begin` on, how many characters are like the first.
size_t run_length(std::u32string_view text, size_t begin, const auto& class_of_character) {
  size_t end = begin + 1;
  while (end < text.size() && class_of_character(text[end]) == class_of_character(text[begin])) ++end;
  return end - begin;
}

size_t gpt2_word_length(std::u32string_view text) {
  for (const auto contraction : contractions)
    if (text.starts_with(contraction)) return contraction.size();
  const bool spaced = text[0] == U' ' && text.size() > 1 && class_of(text[1]) != CharacterClass::space;
  if (spaced) return 1 + run_length(text, 1, class_of);
  const size_t run = run_length(text, 0, class_of);
  const bool before_word = class_of(text[0]) == CharacterClass::space && run < text.size();
  return before_word && run > 1 ? run - 1 : run;
}

}  // namespace

void for_each_gpt2_word(std::u32string_view text, const WordUse& word) {
  while (!text.empty()) {
    const size_t length = gpt2_word_length(text);
    word(text.substr(0, length));
    text.remove_prefix(length);
  }
}

void for_each_plain_word(std::u32string_view text, const WordUse& word) {
  const auto kind = [](char32_t c) {
    return is_word_character(c) ? CharacterClass::letter
           : is_white_space(c)  ? CharacterClass::space
                                : CharacterClass::other;
  };
  while (!text.empty()) {
    const size_t length = run_length(text, 0, kind);
    if (kind(text[0]) != CharacterClass::space) word(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace dalle1::text
