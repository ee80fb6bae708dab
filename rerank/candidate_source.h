// What the pipeline needs of the models: candidates as tokens, and tokens as pictures. The models' own
// classes are adapted to these in transformer_source.h and dvae_decoder.h; tests use fakes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/image/image.h"
#include "rerank/cell_ranges.h"

namespace dalle1::rerank {

/// Candidates decoded together. `cells` below is G * G.
struct Wave {
  std::vector<uint32_t> candidates;           ///< [N] their indices among all candidates of the prompt
  std::vector<int32_t> tokens;                ///< [N, cells] raster order
  std::vector<double> log_likelihood;         ///< [N] nats, summed over sampled cells, at temperature 1
  std::vector<double> forced_log_likelihood;  ///< [N] the same over forced cells; 0 where none is forced
  std::vector<CellRanges> forced;             ///< [N] cells that were given, not sampled

  size_t size() const { return candidates.size(); }
  size_t cells() const { return candidates.empty() ? 0 : tokens.size() / candidates.size(); }
  std::span<const int32_t> tokens_of(size_t i) const {
    return std::span(tokens).subspan(i * cells(), cells());
  }
  int32_t sampled_cells(size_t i) const { return static_cast<int32_t>(cells()) - count_of(forced[i]); }
};

/// Called after each step with the number of cells that every candidate of the wave has by now; false
/// cancels.
using StepCallback = std::function<bool(int cells_done)>;

/// Samples candidates of one prompt. Candidate i is the same whatever wave it is in.
class CandidateSource {
 public:
  virtual ~CandidateSource() = default;
  virtual int cells() const = 0;  ///< G * G
  /// Of a candidate: cells that are given and not sampled.
  virtual CellRanges forced(uint32_t candidate) const = 0;
  /// Runs the prompt through the model, once; sample() does it when it has not been done.
  virtual void prefill() = 0;
  /// Nothing when cancelled. Error(model) when the model's output is not finite.
  virtual std::optional<Wave> sample(std::span<const uint32_t> candidates, const StepCallback& step) = 0;
  /// Inside of a StepCallback alone: the wave's tokens so far, [N, cells], -1 where there is none yet.
  virtual std::vector<int32_t> tokens_so_far() const = 0;
};

/// Turns tokens into pictures. A picture does not depend on what else is decoded with it.
class PictureDecoder {
 public:
  virtual ~PictureDecoder() = default;
  virtual int picture_size() const = 0;  ///< Pixels of one side.
  /// tokens [count, G * G] -> `count` RGB pictures. Error(model) when the decoder's output is not finite.
  virtual std::vector<Image> decode(std::span<const int32_t> tokens, int count) = 0;
};

}  // namespace dalle1::rerank
