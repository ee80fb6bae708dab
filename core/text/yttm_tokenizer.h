// YouTokenToMe's BPE (VKCOM/YouTokenToMe 1.0), as ru-dalle uses it.
//
// The model is a text file: "chars rules"; a line "code-point id" for each character; a line "x y z" for each
// rule (ids x and y merge into z) by falling priority; "unk pad bos eos". Words are what white space or
// U+2581 separates, each with U+2581 put in front; a run of unknown characters in a word is one unk. No
// lower-casing: ru-dalle's own generation lower-cases and strips the prompt first.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/text/tokenizer.h"

namespace dalle1::text {

class YttmTokenizer final : public Tokenizer {
 public:
  /// Special ids read as "<UNK>", "<PAD>", "<BOS>" and "<EOS>".
  std::string decode(std::span<const int32_t> ids) const override;
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  SpecialIds special() const override { return special_; }
  std::string_view kind() const override { return "yttm"; }

 protected:
  std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const override;

 private:
  friend class YttmReader;
  std::unordered_map<char32_t, int32_t> characters_;
  MergeTable merges_;
  std::vector<std::string> pieces_;  // UTF-8 text of each id, U+2581 still in it
  SpecialIds special_;
};

/// Throws Error(model) naming `name` and the line on a malformed file: ids must be dense and each rule may
/// use only what earlier lines define.
std::unique_ptr<Tokenizer> parse_yttm(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace dalle1::text
