// Training of a sentencepiece BPE model on captions.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace dalle1::text {

struct SentencePieceTraining {
  int vocab_size = 16384;              ///< Pieces in all, special ones included.
  double character_coverage = 0.9999;  ///< 0.98 to 1; characters beyond this share of the text become unk.
  bool split_digits = false;           ///< Each digit a piece of its own.
};

/// Gives the next caption, or nothing at the end.
using NextCaption = std::function<std::optional<std::string>()>;

/// Trains a BPE model (NFKC, case folding, spaces folded; pad 0, unk 1, bos 2, eos 3, no byte pieces) and
/// returns the file's bytes. One thread: the same captions and options give the same bytes. Captions are held
/// in memory; blank ones are skipped. Throws Error(input) with the number of a caption that is not UTF-8 or
/// has more than 65,536 bytes, and Error(input) if the captions do not yield that many pieces.
std::string train_sentencepiece(const NextCaption& next, const SentencePieceTraining& training);

}  // namespace dalle1::text
