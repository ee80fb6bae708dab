#include "core/text/hf_clip_tokenizer.h"

#include "core/error.h"
#include "core/text/byte_alphabet.h"
#include "core/text/clip_tokenizer.h"
#include "core/text/clip_words.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {

// The leftmost token first, of several the longest.
template <typename Text>
void HfClipTokenizer::split(std::u32string_view whole, bool normalised, std::vector<int32_t>& out,
                            const Text& text) const {
  while (!whole.empty()) {
    const Added* found = nullptr;
    size_t place = whole.npos;
    for (const Added& added : added_) {
      if (added.normalised != normalised) continue;
      const size_t at = whole.find(added.content);
      if (at == whole.npos || at > place) continue;
      if (at == place && found->content.size() >= added.content.size()) continue;
      found = &added;
      place = at;
    }
    text(whole.substr(0, place));
    if (!found) return;
    out.push_back(found->id);
    whole.remove_prefix(place + found->content.size());
  }
}

std::vector<int32_t> HfClipTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  std::vector<int32_t> out;
  WordMerger merger(merges_, dropout);
  const auto add_word = [&](std::u32string_view word) {
    merger.append(pieces_.symbols_of(to_utf8(word)), out);
  };
  split(to_code_points(utf8), false, out, [&](std::u32string_view raw) {
    split(lower_case_each(to_nfc(raw)), true, out,
          [&](std::u32string_view text) { for_each_clip_word(text, words_, add_word); });
  });
  return out;
}

std::string HfClipTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  return pieces_.text_of(ids);
}

}  // namespace dalle1::text
