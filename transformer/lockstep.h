// Candidates of one prompt that go through the cells of the grid together, and steps that several such groups
// share.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/ops/sampling.h"
#include "transformer/prompt.h"

namespace dalle1::transformer {

/// Likelihoods are those of the model's own distribution given the prompt (temperature 1, no cuts, no
/// guidance).
struct Decoded {
  std::vector<int64_t> tokens;                ///< [N, G * G]; -1 where a stopped decoding did not get.
  std::vector<double> log_likelihood;         ///< [N], sum of ln p over sampled cells.
  std::vector<double> forced_log_likelihood;  ///< [N], over forced cells.
  int32_t cells = 0;                          ///< Cells done: G * G unless stopped.
};

/// All that a step reads or writes is in the device's memory, so that a GPU replays it; not with token shift.
class Lockstep {
 public:
  /// The candidates of these numbers; the prompt outlives it. What a candidate gives is the same whatever
  /// others are with it.
  Lockstep(const Prompt& prompt, std::span<const uint32_t> candidates);
  Lockstep(const Lockstep&) = delete;
  Lockstep& operator=(const Lockstep&) = delete;

  int32_t cells_done() const { return done_; }  ///< Those of the prompt included.
  bool finished() const { return done_ == prompt_.model().config().cells(); }
  int64_t candidates() const { return candidates_; }
  int64_t rows() const { return groups_ * candidates_; }  ///< Of a step's products.

  /// Draws the next cell.
  void step();
  /// The logits of the newest cell, [N, image_vocab].
  Tensor logits() const { return logits_.rows(0, candidates_); }

  /// Adds these candidates to a result that has `result.cells` cells, at most those that are done.
  void append_to(Decoded& result) const;
  /// Their tokens in the first `cells` cells, which are done: [N, G * G]; in the others those that are given,
  /// else -1. While a step goes on, too.
  std::vector<int64_t> tokens(int32_t cells) const;
  const CachedSequence& sequence() const { return *sequence_; }

 private:
  friend void step_together(std::span<Lockstep* const> group);
  void first();
  Tensor inputs();
  void seek();
  void pass();
  void take(Tensor logits);
  void sample();

  const Prompt& prompt_;
  Context context_;
  int64_t candidates_ = 0, groups_ = 0;
  int32_t done_ = 0;
  CellSampling sampling_;
  Tensor places_;        // [cells, C]
  Rotations rotations_;  // of the cells
  Tensor logits_;        // of the newest cell, [groups * N, V]
  std::shared_ptr<CachedSequence> sequence_;
  bool repeats_ = true;  // a step does what the one before did, by what is in the device's memory
  std::unique_ptr<Graph> graph_;
};

/// The next cell of each, which need not be the same: products take the rows of all, attention and sampling
/// each for itself. The bits are those of step(). On a CPU; all of one model.
void step_together(std::span<Lockstep* const> group);

}  // namespace dalle1::transformer
