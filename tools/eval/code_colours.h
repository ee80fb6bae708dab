// Pictures as thumbnails straight from their tokens: 60,000 of them in the time of decoding a few.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "rerank/candidate_source.h"

namespace dalle1::tools {

/// The colour that each code has where it fills a patch. In a picture it also depends on its neighbours, for
/// which a thumbnail's coarse cells make up.
class CodeColours {
 public:
  /// Decodes all codes once: 128 pictures for 8,192 codes on a grid of 32.
  CodeColours(rerank::PictureDecoder& decoder, int grid, int codes);

  /// Numbers of a thumbnail.
  int64_t size() const { return int64_t{3} * side_ * side_; }
  /// Of a picture's tokens [G * G], appended to `values`: RGB levels around 0, a cell of it being the mean of
  /// 2 x 2 of the grid's (of one, in grids below 32).
  void append_thumbnail(std::span<const int32_t> tokens, std::vector<float>& values) const;

 private:
  int grid_, side_;
  std::vector<std::array<float, 3>> colours_;
};

}  // namespace dalle1::tools
