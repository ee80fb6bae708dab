// The byte-level BPE of OpenAI's CLIP (github.com/openai/CLIP, simple_tokenizer.py), from its merges file.
//
// The file has a title line, then one "left right" pair a line by falling priority, over 256 printable
// stand-ins for the bytes; a word's last symbol carries "</w>". Ids: the 256 byte symbols, the same with
// "</w>", the merges, then <|startoftext|> and <|endoftext|>. Only the first 48,894 merges of the file count.
//
// The names of the two special tokens inside a text become these tokens, as the published tokenizer has it:
// scores equal those of published code for every text. All that a text can do with them is to end itself
// early, since CLIP takes its feature at the first end.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/text/clip_pieces.h"
#include "core/text/tokenizer.h"

namespace dalle1::text {

/// Carried by the last symbol of a word in the files.
inline constexpr std::string_view clip_word_end = "</w>";

class ClipTokenizer final : public Tokenizer {
 public:
  /// Special ids read as their names; every word is followed by a space, as the published decoder has it.
  std::string decode(std::span<const int32_t> ids) const override;
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  /// bos and eos are the start and end of text; padding is 0 by convention, an id that "!" has too.
  SpecialIds special() const override { return {0, -1, vocab_size() - 2, vocab_size() - 1}; }
  std::string_view kind() const override { return "clip_bpe"; }

  /// start + ids + end in `context` slots, filled up with 0. Too long is Error(input) that says by how much
  /// unless `truncate`: then the last id is the end.
  std::vector<int32_t> tokenize(std::string_view utf8, bool truncate = false, size_t context = 77) const;

 protected:
  std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const override;

 private:
  friend class ClipMergesReader;
  ClipPieces pieces_;
  MergeTable merges_;
};

/// What the ids are made of: repair (text_repair.h), HTML references decoded twice, spaces folded, lower
/// case.
std::string clean_clip_text(std::string_view utf8);

/// Throws Error(model) naming `name` and the line on a malformed file.
std::unique_ptr<Tokenizer> parse_clip_merges(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace dalle1::text
