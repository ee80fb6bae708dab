#include "core/text/hf_clip_tokenizer.h"

#include "core/error.h"
#include "core/text/byte_alphabet.h"
#include "core/text/clip_tokenizer.h"
#include "core/text/clip_words.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {

std::vector<int32_t> HfClipTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  std::vector<int32_t> out;
  WordMerger merger(merges_, dropout);
  const auto add_word = [&](std::u32string_view word) {
    merger.append(pieces_.symbols_of(to_utf8(word)), out);
  };
  split_at_added(added_, to_code_points(utf8), false, out, [&](std::u32string_view raw) {
    split_at_added(added_, lower_case_each(to_nfc(raw)), true, out,
                   [&](std::u32string_view text) { for_each_clip_word(text, words_, add_word); });
  });
  return out;
}

std::string HfClipTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  return pieces_.text_of(ids);
}

}  // namespace dalle1::text
