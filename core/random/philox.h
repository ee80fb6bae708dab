// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2,
// 3").
//
// There is no generator state. A draw is a pure function of (seed; stream, index, position, draw), so it is
// the same for any batch, thread count or restart.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace dalle1 {

/// Each place that draws has a stream of its own. Values are part of saved runs: append, never renumber.
enum class Stream : uint32_t {
  initialisation = 1,
  dropout = 2,
  sampling = 3,
  gumbel = 4,
  shuffle = 5,
  augmentation = 6,
  bpe_dropout = 7,
  text_dropout = 8,
  codebook = 9,
  dither = 10,
  hard_negatives = 11,
  test = 12,
  control_mask = 13,
  condition_dropout = 14,
  caption_mix = 15
};

using PhiloxBlock = std::array<uint32_t, 4>;

constexpr PhiloxBlock philox4x32(PhiloxBlock counter, uint64_t seed) {
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

/// Uniform in (0, 1], 24 bits: never 0; the largest rounds to 1, once in 2^24 draws.
constexpr float unit_interval(uint32_t bits) { return (static_cast<float>(bits >> 8) + 0.5f) * 0x1p-24f; }

/// Four random words for (stream, index, position, draw).
constexpr PhiloxBlock random_block(uint64_t seed, Stream stream, uint32_t index, uint32_t position,
                                   uint32_t draw) {
  return philox4x32({static_cast<uint32_t>(stream), index, position, draw}, seed);
}

/// A sequence of draws at one place: the convenience of a generator with the determinism of a counter.
class RandomStream {
 public:
  RandomStream(uint64_t seed, Stream stream, uint32_t index = 0, uint32_t position = 0)
      : seed_(seed), stream_(stream), index_(index), position_(position) {}

  uint32_t bits() {
    if (used_ == 4) {
      block_ = random_block(seed_, stream_, index_, position_, draw_++);
      used_ = 0;
    }
    return block_[used_++];
  }
  float uniform() { return unit_interval(bits()); }
  /// Uniform integer in [0, n), n > 0; the bias is below 2^-32 n.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((uint64_t{bits()} * n) >> 32); }
  /// Standard normal (Box and Muller).
  float normal() {
    const float radius = std::sqrt(-2.0f * std::log(uniform()));
    return radius * std::cos(6.28318530717958647692f * uniform());
  }

 private:
  uint64_t seed_;
  Stream stream_;
  uint32_t index_, position_, draw_ = 0;
  int used_ = 4;
  PhiloxBlock block_{};
};

}  // namespace dalle1
