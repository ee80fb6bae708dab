// Text to token ids and back: one interface over sentencepiece, YTTM, CLIP's BPE and Hugging Face's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/bpe_merges.h"

namespace dalle1::text {

/// Ids with a meaning of their own; -1 where the tokenizer has none.
struct SpecialIds {
  int32_t pad = -1, unk = -1, bos = -1, eos = -1;
};

/// Immutable after construction and safe to share between threads.
class Tokenizer {
 public:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer() = default;

  /// Ids of `utf8` without bos, eos or padding. Throws Error(input) with the byte offset if it is not UTF-8.
  std::vector<int32_t> encode(std::string_view utf8) const;

  /// As encode, with BPE dropout: the same ids for the same (text, probability, seed, index) everywhere.
  /// `index` is to differ between draws: for instance epoch << 32 | number of the sample.
  std::vector<int32_t> encode_dropout(std::string_view utf8, float probability, uint64_t seed,
                                      uint64_t index) const;

  /// UTF-8 text of `ids`; throws Error(input) on an id outside the vocabulary.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  virtual int vocab_size() const = 0;
  virtual SpecialIds special() const = 0;
  /// "sentencepiece", "yttm", "clip_bpe", "hf_clip_bpe" or "hf_bpe".
  virtual std::string_view kind() const = 0;

 protected:
  virtual std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const = 0;
  /// Throws Error(input) unless each is in the vocabulary.
  void check_ids(std::span<const int32_t> ids) const;
};

/// Recognises the kind by the content: a sentencepiece model, YTTM's bpe.model, CLIP's merges as text or
/// gzip, a tokenizer.json of Hugging Face's library (CLIP's, byte-level or plain BPE). Throws Error(model)
/// that names `name` and the place for anything else or a damaged file. Memory is bounded by a small multiple
/// of the size; a gzip stream may grow to 64 MiB.
std::unique_ptr<Tokenizer> parse_tokenizer(std::span<const uint8_t> bytes, const std::string& name);
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

/// Returns `ids` if there are at most `limit`. More are cut where `truncate`, else Error(input) "prompt has
/// 301 tokens, 45 more than the limit of 256; shorten it or pass --truncate"; `what` is its first word.
std::vector<int32_t> fit(std::vector<int32_t> ids, size_t limit, bool truncate,
                         std::string_view what = "prompt");

/// What frame does with ids that do not fit between bos and eos.
enum class Overflow {
  refuse,    ///< Error(input), as fit.
  keep_eos,  ///< The last slot holds eos (CLIP).
  cut        ///< Cut at the last slot, eos and all (ru-dalle).
};

/// bos + ids + eos in `length` slots, filled up with pad: the layout of CLIP and ru-dalle.
std::vector<int32_t> frame(std::span<const int32_t> ids, const SpecialIds& special, size_t length,
                           Overflow overflow, std::string_view what = "prompt");

}  // namespace dalle1::text
