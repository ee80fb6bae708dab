// What a run took, over all calls that worked on it.
#pragma once

#include <cstdint>

#include "rerank/results.h"

namespace dalle1::rerank {

struct StageSeconds {
  double prefill = 0, sample = 0, decode = 0, score = 0, write = 0;
  double total() const { return prefill + sample + decode + score + write; }
};

struct RunCost {
  int calls = 0;             ///< The first one and those that resumed it.
  StageSeconds seconds;      ///< Sums over the calls.
  double elapsed = 0;        ///< Seconds, the same with what lies between the stages.
  int64_t tokens = 0;        ///< Sampled.
  uint64_t peak_memory = 0;  ///< Bytes, of the call that had most.

  double tokens_per_second() const {
    return seconds.sample > 0 ? static_cast<double>(tokens) / seconds.sample : 0;
  }
};

RunCost operator+(const RunCost& a, const RunCost& b);

/// The fields of run.json that say it.
Json to_json(const RunCost& cost);
/// The inverse; what is missing is 0. Version 0.1 wrote the cost of its last call alone, and no `calls`.
RunCost cost_from_json(const Json& run);

/// Most bytes of memory this process ever had (resident set).
uint64_t peak_resident_bytes();

}  // namespace dalle1::rerank
