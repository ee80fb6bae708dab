// Synthetic captions in the place of most of the original ones (Betker et al. 2023, "Improving Image
// Generation with Better Captions", section 3.2).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/data_lines.h"
#include "core/data/token_shard.h"

namespace dalle1::transformer {

class CaptionMix {
 public:
  /// `file`: a JSON object with a "caption" a line, as `dalle1 recaption` writes it: one for each picture of
  /// the shards in their order, whatever views they have of it. Where a line has an "original", it is the
  /// caption that the shards have. `share`: probability of the synthetic one. Error(input) in one line that
  /// names the file, and the line where there is one.
  CaptionMix(const std::filesystem::path& file, const TokenShards& shards, double share);

  /// Whether the sample at a position of the training, which counts on over epochs, takes the synthetic one:
  /// a function of (seed, position).
  bool takes_synthetic(uint64_t seed, uint64_t position) const;
  /// Of a record of the shards; empty where it is blank.
  std::string caption(uint64_t record) const;

 private:
  struct Line {
    std::string_view text;
    uint64_t number;  // in the file
  };
  void check_originals(const TokenShards& shards) const;
  std::string where(const Line& line) const;

  std::string name_;
  DataLines file_;           // which keeps what lines_ shows
  std::vector<Line> lines_;  // of a picture each
  uint64_t views_ = 1;
  double share_;
};

}  // namespace dalle1::transformer
