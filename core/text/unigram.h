// The unigram language model of sentencepiece (Kudo 2018, "Subword Regularization"): the segmentation of
// highest probability.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/sentencepiece_model.h"

namespace dalle1::text {

class Unigram {
 public:
  Unigram() = default;
  /// Takes the pieces' texts as they lie: they must outlive the object. `unknown` is the id for characters
  /// that no piece covers.
  Unigram(const std::vector<SentencePieceModel::Piece>& pieces, int32_t unknown);

  struct Part {
    int32_t id;
    std::string_view text;
  };
  /// Parts of `text` (UTF-8, normalised), from left to right. A user-defined piece is chosen wherever it is.
  std::vector<Part> segment(std::string_view text) const;

 private:
  struct Entry {
    int32_t id;
    float score;
    bool user_defined;
  };
  std::unordered_map<std::string_view, Entry> pieces_;
  size_t longest_ = 0;  // bytes
  float highest_ = 0, unknown_score_ = 0;
  int32_t unknown_ = -1;
};

}  // namespace dalle1::text
