// The vector unit's own functions.
#include "core/cpu/lanes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace dalle1::cpu {

TEST_CASE(
    "exp of lanes is within a few units in the last place, and 0 where f32 would leave its normal range") {
  double worst = 0;
  float in[lane_count], out[lane_count];
  for (float x = -87.3f; x <= 88.0f; x += 0.013f) {
    for (int i = 0; i < lane_count; ++i) in[i] = std::min(x + 0.0007f * static_cast<float>(i), 88.0f);
    store(out, exp(load(in)));
    for (int i = 0; i < lane_count; ++i) {
      const double expected = std::exp(static_cast<double>(in[i]));
      worst = std::max(worst, std::abs(out[i] - expected) / expected);
    }
  }
  CHECK(worst < 2e-7);
  store(out, exp(broadcast(-87.4f)));
  CHECK(out[3] == 0.0f);
  store(out, exp(broadcast(-INFINITY)));
  CHECK(out[15] == 0.0f);
  store(out, exp(zero()));
  CHECK(out[7] == 1.0f);
}

TEST_CASE("bf16 of lanes is rounded and widened as one by one") {
  std::mt19937 engine(1);
  for (int round = 0; round < 20000; ++round) {
    float in[lane_count], out[lane_count];
    Bf16 narrow[lane_count];
    for (float& x : in) x = std::bit_cast<float>(static_cast<uint32_t>(engine()));  // all kinds, NaN too
    in[0] = std::bit_cast<float>((round << 16) | 0x8000);                           // ties
    in[1] = std::bit_cast<float>(0x7f800000 | (round * 7 & 0x7fffff));              // infinity and NaN
    store(narrow, load(in));
    store(out, load(narrow));
    for (int i = 0; i < lane_count; ++i) {
      REQUIRE(narrow[i].bits == f32_to_bf16(in[i]));
      REQUIRE(std::bit_cast<uint32_t>(out[i]) == std::bit_cast<uint32_t>(bf16_to_f32(narrow[i].bits)));
    }
    const int count = 1 + round % (lane_count - 1);
    Bf16 first[lane_count] = {};
    store_first(first, load(in), count);
    store(out, load_first(narrow, count));
    for (int i = 0; i < lane_count; ++i) {
      REQUIRE(first[i].bits == (i < count ? narrow[i].bits : 0));
      if (i >= count) REQUIRE(out[i] == 0.0f);
    }
  }
}

TEST_CASE("loads and stores of the first lanes leave the rest alone") {
  float in[lane_count], out[lane_count];
  for (int i = 0; i < lane_count; ++i) in[i] = static_cast<float>(i + 1);
  for (int count = 1; count < lane_count; ++count) {
    std::fill(out, out + lane_count, -1.0f);
    const Lanes first = load_first(in, count);
    CHECK(sum(first) == static_cast<float>(count * (count + 1) / 2));
    CHECK(largest(first) == static_cast<float>(count));
    store_first(out, load(in), count);
    for (int i = 0; i < lane_count; ++i) CHECK(out[i] == (i < count ? in[i] : -1.0f));
    store(out, select((1u << count) - 1, load(in), broadcast(-2.0f)));
    for (int i = 0; i < lane_count; ++i) CHECK(out[i] == (i < count ? in[i] : -2.0f));
  }
}

}  // namespace dalle1::cpu
