// CLIP's tokenizer as Hugging Face's tokenizers library runs it, from the tokenizer.json of a model.
//
// Against OpenAI's (clip_tokenizer.h) text is not repaired: it is brought into NFC, spaces are folded and
// characters put in lower case one by one; and the names of special tokens count as such only where they
// stand in the text as they are written. What the file may say is what CLIP's say; anything else is refused.
#pragma once

#include <string>
#include <vector>

#include "core/text/clip_pieces.h"
#include "core/text/clip_words.h"
#include "core/text/hf_json.h"
#include "core/text/tokenizer.h"

namespace dalle1::text {

class HfClipTokenizer final : public Tokenizer {
 public:
  std::string decode(std::span<const int32_t> ids) const override;
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  /// bos and eos are the start and end of text. Padding is 0: behind the end it counts for nothing.
  SpecialIds special() const override { return {0, end_, start_, end_}; }
  std::string_view kind() const override { return "hf_clip_bpe"; }

 protected:
  std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const override;

 private:
  friend class HfClipReader;
  ClipPieces pieces_;
  std::vector<AddedToken> added_;
  int32_t start_ = -1, end_ = -1;
  ClipWords words_ = ClipWords::hugging_face;
  MergeTable merges_;
};

/// Of a document that parse_tokenizer_json() gave. Throws Error(model) that names `name` and what does not
/// fit.
std::unique_ptr<Tokenizer> read_hf_clip_tokenizer(const nlohmann::json& document, const std::string& name);

/// The tokenizer.json of a vocab.json and a merges.txt, the older form of the same. Error(model) names the
/// file that is not what it is called.
std::string join_hf_clip_tokenizer(const std::filesystem::path& vocab, const std::filesystem::path& merges);

}  // namespace dalle1::text
