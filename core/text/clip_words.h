// Where CLIP's tokenizer cuts cleaned text into words.
#pragma once

#include <functional>
#include <string_view>

namespace dalle1::text {

/// Calls `word` for each match, from left to right, of CLIP's pattern (without regard to case)
///   <|startoftext|> | <|endoftext|> | 's | 't | 're | 've | 'm | 'll | 'd | letters+ | one number | others+
/// where others are neither space nor letter nor number.
void for_each_clip_word(std::u32string_view text, const std::function<void(std::u32string_view word)>& word);

inline constexpr std::u32string_view start_of_text = U"<|startoftext|>";
inline constexpr std::u32string_view end_of_text = U"<|endoftext|>";

}  // namespace dalle1::text
