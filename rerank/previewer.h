// Pictures of a wave that is still being sampled.
#pragma once

#include "rerank/candidate_source.h"
#include "rerank/run_sink.h"

namespace dalle1::rerank {

class Previewer {
 public:
  /// Of one wave of a square grid of `cells`.
  Previewer(const PreviewWish& wish, int cells);

  /// Whether a preview is wanted when the wave has as many cells: at most once for each number of rows, and
  /// not of a whole grid, whose pictures come anyway.
  bool is_due(int cells_done);

  /// `tokens` [N, cells], -1 where there is none yet: there the picture is transparent, and the decoder,
  /// whose sight goes beyond a cell, is given the token above.
  Preview make(PictureDecoder& decoder, std::span<const uint32_t> candidates,
               std::vector<int32_t> tokens) const;

 private:
  PreviewWish wish_;
  int cells_, grid_, last_rows_ = 0;
};

}  // namespace dalle1::rerank
