// Which micro-batches of a training one of its ranks computes.
#pragma once

#include <cstdint>

namespace dalle1 {

/// Of the `accumulate` micro-batches of a step a rank has those whose place in it is rank, rank + ranks, and
/// so on. Micro-batches are numbered over the whole run.
struct BatchShare {
  int rank = 0, ranks = 1;
  int accumulate = 1;

  bool has(int64_t batch) const { return batch % accumulate % ranks == rank; }
  /// The first of this rank's after `batch`.
  int64_t after(int64_t batch) const {
    do ++batch;
    while (!has(batch));
    return batch;
  }
};

}  // namespace dalle1
