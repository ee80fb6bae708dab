// Which samples a training learns from, in which order, and which it holds out.
#pragma once

#include <cstdint>

#include "core/data/sample_order.h"

namespace dalle1::transformer {

/// Held out are the indices k * stride, k < validation, evenly spaced over the data; the others are learned
/// in the order of SampleOrder.
class SampleSplit {
 public:
  /// Error(input) when there are no samples, or fewer than two for each held out; `validation` 0: none is.
  SampleSplit(uint64_t size, int64_t validation, uint64_t seed);

  int64_t validation() const { return validation_; }
  /// Index of the sample at a position of the training, which counts on over epochs.
  uint64_t training_index(uint64_t position) const;
  uint64_t held_out_index(int64_t k) const { return static_cast<uint64_t>(k) * stride_; }

 private:
  int64_t validation_;
  uint64_t stride_;  // 0: nothing held out
  SampleOrder order_;
};

}  // namespace dalle1::transformer
