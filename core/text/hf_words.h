// Where Hugging Face's tokenizers cut text into words; each function calls `word` from left to right.
#pragma once

#include <functional>
#include <string_view>

namespace dalle1::text {

using WordUse = std::function<void(std::u32string_view word)>;

/// GPT-2's pattern: 's | 't | 're | 've | 'm | 'll | 'd | letters, numbers or others, each with the space
/// before them | spaces but for the last before a word | spaces.
void for_each_gpt2_word(std::u32string_view text, const WordUse& word);

/// Runs of letters, marks, digits and connectors, and runs of what is neither these nor space.
void for_each_plain_word(std::u32string_view text, const WordUse& word);

}  // namespace dalle1::text
