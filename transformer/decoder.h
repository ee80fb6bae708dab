// Decoding: the prompt once, then grid cells one by one for N candidates in lockstep. On a CPU of several
// threads each takes a share of the candidates through all cells, where that is faster
// (transformer/shares.h).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "transformer/lockstep.h"

namespace dalle1::transformer {

class Decoder {
 public:
  /// Runs the prefill. Error(input) for ids or cells outside of the model's sizes.
  Decoder(Context& context, const Transformer& model, DecodeRequest request)
      : prompt_(context, model, std::move(request)) {}

  struct Hooks {
    /// Called with the number of cells that all candidates have, after each cell on the CPU, by any thread
    /// but by one at a time, and now and then on a GPU, which is waited for then; false stops.
    std::function<bool(int32_t cells)> progress;
    /// Sees the conditional logits [N, image_vocab] of each cell; all candidates go in one lockstep then.
    std::function<void(int32_t cell, const Tensor& logits)> logits;
  };
  /// Decodes the candidates of these numbers. A candidate's result is the same whatever others are with it.
  Decoded decode(std::span<const uint32_t> candidates, const Hooks& hooks);
  Decoded decode(std::span<const uint32_t> candidates) { return decode(candidates, {}); }

  /// Inside of Hooks::progress alone: the tokens of the cells that all candidates have, [N, G * G]; of the
  /// others those that are forced, else -1.
  std::vector<int64_t> tokens_so_far() const;

  /// Reads and bytes of caches, of the last decode(), over all shares.
  struct CacheUse {
    size_t bytes = 0;
    int64_t prefix_rows_read = 0, private_rows_read = 0, private_bytes_read = 0;
  };
  const CacheUse& cache_use() const { return cache_use_; }
  const Prompt& prompt() const { return prompt_; }

 private:
  class Watch;
  struct Running;
  void run(Lockstep& state, size_t share, Watch& watch, const Hooks& hooks) const;

  const Prompt prompt_;
  CacheUse cache_use_;
  const Running* running_ = nullptr;  // during decode()
};

}  // namespace dalle1::transformer
