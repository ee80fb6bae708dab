// Normal draws for tests of kernels.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace dalle1 {

inline std::vector<float> random_values(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

}  // namespace dalle1
