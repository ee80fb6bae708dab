#include "core/text/clip_words.h"

#include "core/text/unicode.h"

namespace dalle1::text {
namespace {

constexpr std::u32string_view fixed_words[] = {start_of_text, end_of_text, U"'s",  U"'t", U"'re",
                                               U"'ve",        U"'m",       U"'ll", U"'d"};

class WordCutter {
 public:
  explicit WordCutter(ClipWords rules)
      : openai_(rules == ClipWords::openai), special_(rules != ClipWords::hugging_face_without_special) {}

  bool is_gap(char32_t c) const { return openai_ ? is_space(c) : is_white_space(c); }

  size_t word_length(std::u32string_view text) const {
    for (const auto fixed : fixed_words)
      if ((special_ || fixed[0] != U'<') && begins_with(text, fixed)) return fixed.size();
    if (is_number(text[0])) return 1;
    const bool letters = is_letter(text[0]);
    size_t length = 1;
    while (length < text.size() && (letters ? is_letter(text[length]) : is_other(text[length]))) ++length;
    return length;
  }

 private:
  // `word` is in lower case. Case folding adds one character to lower-casing: the long s.
  bool begins_with(std::u32string_view text, std::u32string_view word) const {
    if (text.size() < word.size()) return false;
    for (size_t i = 0; i < word.size(); ++i) {
      char32_t c = text[i];
      if (openai_ && c >= 'A' && c <= 'Z') c += 'a' - 'A';
      if (openai_ && c == 0x017F) c = 's';
      if (c != word[i]) return false;
    }
    return true;
  }
  bool is_other(char32_t c) const { return !is_gap(c) && !is_letter(c) && !is_number(c); }

  bool openai_, special_;
};

}  // namespace

void for_each_clip_word(std::u32string_view text, ClipWords rules,
                        const std::function<void(std::u32string_view word)>& word) {
  const WordCutter cutter(rules);
  while (!text.empty()) {
    if (cutter.is_gap(text[0])) {
      text.remove_prefix(1);
      continue;
    }
    const size_t length = cutter.word_length(text);
    const std::u32string_view found = text.substr(0, length);
    if (rules == ClipWords::hugging_face && (found == start_of_text || found == end_of_text)) {
      word(found.substr(0, 2));
      word(found.substr(2, length - 4));
      word(found.substr(length - 2));
    } else {
      word(found);
    }
    text.remove_prefix(length);
  }
}

}  // namespace dalle1::text
