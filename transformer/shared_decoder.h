// Decoding for several requests at once: their candidates share steps. They join between two steps, each with
// its own prompt, rule and seed, and leave when they are done.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>

#include "transformer/lockstep.h"

namespace dalle1::transformer {

/// From several threads at once: each calls decode() and waits in it; one of those that wait takes a step of
/// all. On a CPU, for prompts of one model.
class SharedDecoder {
 public:
  /// Runs what it is given while nothing else works on the device.
  using Exclusive = std::function<void(const std::function<void()>&)>;

  /// `most_rows`: of a step's products (guidance takes two a candidate). What would exceed it waits, in order
  /// of arrival; a request that is larger by itself goes alone. Steps are taken within `exclusive`.
  SharedDecoder(int64_t most_rows, Exclusive exclusive)
      : most_rows_(most_rows), exclusive_(std::move(exclusive)) {}

  /// Where the candidates of a caller stand.
  struct Standing {
    int32_t cells = 0;                             ///< That all of them have.
    std::function<std::vector<int64_t>()> tokens;  ///< See Lockstep::tokens().
  };
  /// As Decoder::decode(): the same tokens and likelihoods, whatever else is decoded. `progress` is called in
  /// the caller's thread when there are more cells, not for each where it is slower than a step; false
  /// leaves. An error of a step goes to all who take part in it.
  Decoded decode(const Prompt& prompt, std::span<const uint32_t> candidates,
                 const std::function<bool(const Standing&)>& progress = {});

 private:
  class Job;
  void admit();
  void take_step(std::unique_lock<std::mutex>& lock);

  const int64_t most_rows_;
  const Exclusive exclusive_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::list<Job*> waiting_, active_;
  bool stepping_ = false;  // by some thread, without the mutex: active jobs are not to be touched
};

}  // namespace dalle1::transformer
