// Sentencepiece models (Kudo and Richardson 2018), BPE and unigram: normalisation, pieces, unknown runs as
// one id or as bytes.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/character_map.h"
#include "core/text/sentencepiece_model.h"
#include "core/text/tokenizer.h"
#include "core/text/unigram.h"

namespace dalle1::text {

/// Equal to the sentencepiece library on every text. Its own merge loop is there because BPE dropout must be
/// a function of seed and index, and the library's generator can be neither seeded per text nor resumed.
/// Dropout of a unigram model is Error(usage): it has no merges.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePieceModel model, const std::string& name);

  /// Control ids read as nothing, unknown ones as the model's unknown surface (" \u2047 ").
  std::string decode(std::span<const int32_t> ids) const override;
  int vocab_size() const override { return static_cast<int>(model_.pieces.size()); }
  SpecialIds special() const override { return special_; }
  std::string_view kind() const override { return "sentencepiece"; }

  /// `utf8` as the model sees it: characters mapped, spaces folded and shown as U+2581.
  std::string normalize(std::string_view utf8) const;

 protected:
  std::vector<int32_t> encode_with(std::string_view utf8, BpeDropout* dropout) const override;

 private:
  enum class WordBreak { before_mark, after_mark, none };
  struct Part {
    int32_t id;             // special_.unk for what no piece covers
    std::string_view text;  // of the normalised text; set only where the id is unknown
  };
  void register_pieces();
  void register_byte(std::string_view text, int32_t id);
  void register_merges();
  void choose_word_break();
  std::string_view next_character(std::string_view text) const;
  std::string_view user_piece_at(std::string_view text) const;
  std::vector<Part> merged(std::string_view normalised, BpeDropout* dropout) const;
  std::vector<Part> parts_of(std::string_view normalised, BpeDropout* dropout) const;

  SentencePieceModel model_;
  CharacterMap map_;
  std::string name_;  // of the file, for messages
  SpecialIds special_;
  // Symbols: the ids of normal pieces, and above vocab_size the characters that occur only inside of pieces.
  std::unordered_map<std::string_view, int32_t> symbols_;
  std::vector<std::string_view> characters_;  // of the symbols above vocab_size
  MergeTable merges_;
  WordBreak word_break_ = WordBreak::none;
  Unigram unigram_;
  std::unordered_map<std::string_view, int32_t> user_pieces_;  // taken whole wherever they are
  size_t longest_user_piece_ = 0;                              // bytes
  std::vector<int32_t> byte_ids_;                              // of each byte, -1: none; empty without any
};

/// BPE and unigram models of normal, control, unknown, user-defined and byte pieces. Throws Error(model)
/// naming `name` for other kinds of sentencepiece model and for damaged ones.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace dalle1::text
