// Byte-pair encoding as Hugging Face's tokenizers library runs it from a tokenizer.json, of the two kinds
// that its trainings make most: over bytes, with words cut as GPT-2 does (Radford et al. 2019), and over
// characters, with words cut at spaces and punctuation. What the file may say besides is refused.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/text/hf_json.h"
#include "core/text/tokenizer.h"

namespace dalle1::text {

class HfBpeTokenizer final : public Tokenizer {
 public:
  /// Characters without a byte-level form are joined by spaces: the tokenizer does not know where words end.
  std::string decode(std::span<const int32_t> ids) const override;
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  SpecialIds special() const override { return {-1, unknown_, -1, -1}; }
  std::string_view kind() const override { return "hf_bpe"; }

 protected:
  std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const override;

 private:
  friend class HfBpeReader;
  using Change = std::u32string (*)(std::u32string_view text);
  std::u32string normalised(std::u32string_view text) const;
  /// The word's characters, or the stand-ins of its bytes, as ids.
  std::vector<int32_t> symbols_of(std::u32string_view word) const;

  std::vector<Change> normalisations_;
  bool byte_level_ = false, space_in_front_ = false, fuses_unknown_ = false;
  int32_t unknown_ = -1;  // -1: unknown characters are left out
  std::vector<std::string> pieces_;
  std::unordered_map<char32_t, int32_t> characters_;
  std::array<char32_t, 256> stand_ins_{};  // of bytes
  MergeTable merges_;
  std::vector<AddedToken> added_;
};

/// Of a document that parse_tokenizer_json() gave. Throws Error(model) that names `name` and what does not
/// fit.
std::unique_ptr<Tokenizer> read_hf_bpe_tokenizer(const nlohmann::json& document, const std::string& name);

}  // namespace dalle1::text
