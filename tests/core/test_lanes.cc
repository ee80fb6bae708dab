// The vector unit's own functions.
#include "core/cpu/lanes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

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
