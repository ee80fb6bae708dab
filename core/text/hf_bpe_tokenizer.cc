#include "core/text/hf_bpe_tokenizer.h"

#include "core/text/hf_words.h"
#include "core/text/utf8.h"

namespace dalle1::text {

std::u32string HfBpeTokenizer::normalised(std::u32string_view text) const {
  std::u32string changed(text);
  for (const Change change : normalisations_) changed = change(changed);
  return changed;
}

std::vector<int32_t> HfBpeTokenizer::symbols_of(std::u32string_view word) const {
  std::u32string characters(word);
  if (byte_level_) {
    characters.clear();
    for (const char byte : to_utf8(word)) characters += stand_ins_[static_cast<uint8_t>(byte)];
  }
  std::vector<int32_t> symbols;
  bool after_unknown = false;
  for (const char32_t character : characters) {
    const auto known = characters_.find(character);
    const bool unknown = known == characters_.end();
    if (!unknown) symbols.push_back(known->second);
    if (unknown && unknown_ >= 0 && !(fuses_unknown_ && after_unknown)) symbols.push_back(unknown_);
    after_unknown = unknown;
  }
  return symbols;
}

std::vector<int32_t> HfBpeTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  std::vector<int32_t> out;
  WordMerger merger(merges_, dropout);
  const auto add_word = [&](std::u32string_view word) { merger.append(symbols_of(word), out); };
  const auto add_text = [&](std::u32string_view text) {
    if (!byte_level_) return for_each_plain_word(text, add_word);
    if (!space_in_front_ || text.empty() || text.starts_with(U' ')) return for_each_gpt2_word(text, add_word);
    for_each_gpt2_word(U' ' + std::u32string(text), add_word);
  };
  split_at_added(added_, to_code_points(utf8), false, out, [&](std::u32string_view raw) {
    split_at_added(added_, normalised(raw), true, out, add_text);
  });
  return out;
}

std::string HfBpeTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  std::string text;
  for (const int32_t id : ids) {
    if (!byte_level_ && !text.empty()) text += ' ';
    text += pieces_[static_cast<size_t>(id)];
  }
  return to_utf8(to_code_points_lossy(text));
}

}  // namespace dalle1::text
