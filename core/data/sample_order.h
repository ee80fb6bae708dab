// The order in which a data set is read: a function of (seed, epoch), without state and without a list in
// memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/error.h"
#include "core/random/philox.h"

namespace dalle1 {

/// Which index is read at each position. Positions count on over epochs: [0, share) is the first epoch of
/// this rank, [share, 2 share) its second. Each epoch is a new permutation of all indices; rank r of `world`
/// takes the permutation's positions r, r + world, ... so that ranks never share a sample. Every rank has the
/// same number of samples; the last size % world positions of an epoch are nobody's. So a training run
/// resumes from a number.
class SampleOrder {
 public:
  /// 0 <= rank < world <= size: Error(input) when there are fewer samples than ranks.
  SampleOrder(uint64_t size, uint64_t seed, bool shuffle = true, uint32_t rank = 0, uint32_t world = 1)
      : size_(size), seed_(seed), shuffle_(shuffle), rank_(rank), world_(world) {
    check(world >= 1 && rank < world, ErrorKind::usage, "data: rank {} of {}", rank, world);
    check(size >= world, ErrorKind::input, "data: {} samples for {} readers; each needs one at least", size,
          world);
    const auto bits = static_cast<unsigned>(std::bit_width(size - 1));
    half_bits_ = std::max(4u, (bits + 1) / 2);
  }

  uint64_t share() const { return size_ / world_; }  ///< samples an epoch on this rank
  uint64_t epoch(uint64_t position) const { return position / share(); }
  uint64_t index(uint64_t position) const {
    const uint64_t place = position % share() * world_ + rank_;
    return shuffle_ ? permuted(place, static_cast<uint32_t>(epoch(position))) : place;
  }

 private:
  /// A Feistel network permutes [0, 4^half_bits); following its cycle until it re-enters [0, size) permutes
  /// that.
  uint64_t permuted(uint64_t place, uint32_t epoch) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    do {
      uint64_t left = place >> half_bits_, right = place & mask;
      for (uint32_t round = 0; round < 6; ++round) {
        const PhiloxBlock noise =
            random_block(seed_, Stream::shuffle, epoch, round, static_cast<uint32_t>(right));
        const uint64_t mixed = left ^ (noise[0] & mask);
        left = right;
        right = mixed;
      }
      place = left << half_bits_ | right;
    } while (place >= size_);
    return place;
  }

  uint64_t size_, seed_;
  bool shuffle_;
  uint32_t rank_, world_;
  unsigned half_bits_;
};

}  // namespace dalle1
