// Decoding: the prompt once, then grid cells one by one for N candidates in lockstep. On a CPU of several
// threads each takes a share of the candidates through all cells, where that is faster
// (transformer/shares.h).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "transformer/model.h"
#include "transformer/sampler.h"

namespace dalle1::transformer {

/// What one prompt leaves behind after one forward pass: its text, followed by forced first cells of the
/// picture.
class Prefix {
 public:
  /// `text`: text_length ids, padding in place. `first_cells`: tokens of the grid's first cells, all of them
  /// at most.
  Prefix(Context& context, const Transformer& model, std::span<const int64_t> text,
         std::span<const int64_t> first_cells);

  std::span<const LayerPrefix> layers() const { return layers_; }
  /// Logits of the first cell that is not forced, [1, image_vocab]; undefined when all cells are.
  const Tensor& logits() const { return logits_; }
  /// Keeps keys and values in the type that goes with a cache.
  void keep_as(CacheType type);
  /// Sum of ln p over the forced first cells.
  double log_likelihood() const { return log_likelihood_; }

 private:
  std::vector<LayerPrefix> layers_;
  Tensor logits_;
  double log_likelihood_ = 0;
};

struct DecodeRequest {
  std::vector<int64_t> text;  ///< text_length ids (see fill_text_slots).
  /// The same of the unconditional or negative prompt; needed with guidance.
  std::vector<int64_t> unconditional;
  std::vector<int64_t> forced;  ///< A token per grid cell, -1 where it is sampled; empty: all are sampled.
  SamplingOptions sampling;
  /// Forced first cells go into the prefill. Off, they are decoded one by one: the reference for tests.
  bool prefill_forced = true;
  /// Keeps all keys instead of those that a later query sees: the reference for tests.
  bool retain_all = false;
  CacheType cache = CacheType::automatic;
};

/// Likelihoods are those of the model's own distribution given the prompt (temperature 1, no cuts, no
/// guidance).
struct Decoded {
  std::vector<int64_t> tokens;                ///< [N, G * G]; -1 where a stopped decoding did not get.
  std::vector<double> log_likelihood;         ///< [N], sum of ln p over sampled cells.
  std::vector<double> forced_log_likelihood;  ///< [N], over forced cells.
  int32_t cells = 0;                          ///< Cells done: G * G unless stopped.
};

class Decoder {
 public:
  /// Runs the prefill. Error(input) for ids or cells outside of the model's sizes.
  Decoder(Context& context, const Transformer& model, DecodeRequest request);

  struct Hooks {
    /// Called with the number of cells that all candidates have, after each cell on the CPU, by any thread
    /// but by one at a time, and now and then on a GPU, which is waited for then; false stops.
    std::function<bool(int32_t cells)> progress;
    /// Sees the conditional logits [N, image_vocab] of each cell; all candidates go in one lockstep then.
    std::function<void(int32_t cell, const Tensor& logits)> logits;
  };
  /// Decodes the candidates of these numbers. A candidate's result is the same whatever others are with it.
  Decoded decode(Context& context, std::span<const uint32_t> candidates, const Hooks& hooks);
  Decoded decode(Context& context, std::span<const uint32_t> candidates) {
    return decode(context, candidates, {});
  }

  /// Inside of Hooks::progress alone: the tokens of the cells that all candidates have, [N, G * G]; of the
  /// others those that are forced, else -1.
  std::vector<int64_t> tokens_so_far() const;

  /// Reads and bytes of caches, of the last decode(), over all shares.
  struct CacheUse {
    size_t bytes = 0;
    int64_t prefix_rows_read = 0, private_rows_read = 0, private_bytes_read = 0;
  };
  const CacheUse& cache_use() const { return cache_use_; }
  const SlotPlans& plans() const { return plans_; }
  int32_t prefilled_cells() const { return prefilled_; }

 private:
  struct Lockstep;
  class Watch;
  struct Running;
  void check_request() const;
  Tensor first_logits(int64_t candidates) const;
  Lockstep begin(Context& context, std::span<const uint32_t> candidates) const;
  void sample(const Tensor& logits, const Lockstep& state) const;
  void step(Context& context, Lockstep& state) const;
  void run(Context context, Lockstep& state, Watch& watch, const Hooks& hooks) const;
  void finish(const Lockstep& state, Decoded& result) const;

  const Transformer& model_;
  const nn::Linear head_;  // of the image
  DecodeRequest request_;
  int32_t prefilled_ = 0;  // cells
  std::vector<Prefix> prefixes_;
  SlotPlans plans_;
  CacheUse cache_use_;
  const Running* running_ = nullptr;  // during decode()
};

}  // namespace dalle1::transformer
