#include "transformer/sample_split.h"

#include <algorithm>

namespace dalle1::transformer {
namespace {

uint64_t held_out_stride(uint64_t size, int64_t validation) {
  check(size > 0, ErrorKind::input, "the data has no samples");
  if (validation == 0) return 0;
  const uint64_t stride = size / static_cast<uint64_t>(validation);
  check(stride >= 2, ErrorKind::input,
        "train.validation: {} of {} samples cannot be held out; give fewer (0 for none) or more data",
        validation, size);
  return stride;
}

}  // namespace

SampleSplit::SampleSplit(uint64_t size, int64_t validation, uint64_t seed)
    : validation_(validation),
      stride_(held_out_stride(size, validation)),
      order_(size - static_cast<uint64_t>(validation), seed) {}

// Training counts on past those that are held out.
uint64_t SampleSplit::training_index(uint64_t position) const {
  const uint64_t place = order_.index(position);
  if (stride_ == 0) return place;
  return place + std::min(place / (stride_ - 1) + 1, static_cast<uint64_t>(validation_));
}

}  // namespace dalle1::transformer
