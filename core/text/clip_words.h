// Where CLIP's tokenizer cuts cleaned text into words.
#pragma once

#include <functional>
#include <string_view>

namespace dalle1::text {

/// Whose regular expressions: OpenAI's Python (without regard to case, so that the long s is an s; U+001C to
/// U+001F are spaces), or Hugging Face's tokenizers in Rust. These then cut each match as GPT-2 does, by
/// which the names of the special tokens, where they are no tokens, become three words; or leave them out of
/// the pattern.
enum class ClipWords { openai, hugging_face, hugging_face_without_special };

/// Calls `word` for each match, from left to right, of CLIP's pattern
///   <|startoftext|> | <|endoftext|> | 's | 't | 're | 've | 'm | 'll | 'd | letters+ | one number | others+
/// where others are neither space nor letter nor number.
void for_each_clip_word(std::u32string_view text, ClipWords rules,
                        const std::function<void(std::u32string_view word)>& word);

inline constexpr std::u32string_view start_of_text = U"<|startoftext|>";
inline constexpr std::u32string_view end_of_text = U"<|endoftext|>";

}  // namespace dalle1::text
