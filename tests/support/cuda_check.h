// Checks that need a GPU: each is a test case of its own, so that a runner can give each a process of its own
// (tools/gpu) and a failure, or a GPU that it leaves unusable, hides no other. Where there is no GPU
// they count as skipped.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/tensor/device.h"

namespace dalle1::test {

inline bool no_gpu() {
  static const bool none = cuda_device_count() == 0;
  return none;
}

/// |found - expected| / |expected| in the L2 norm; infinite where sizes differ or a value is not finite.
inline double relative_error(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!std::isfinite(found[i])) return INFINITY;
    difference += std::pow(double{found[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-12);
}

/// Prints the figure whether it passes or not: on a new kind of GPU its size is the news.
inline void check_figure(const std::string& what, double figure, double limit) {
  MESSAGE(fmt::format("{}: {:.2e}, at most {:.0e}", what, figure, limit));
  CHECK(figure < limit);
}

inline void check_close(const std::string& what, const std::vector<float>& found,
                        const std::vector<float>& expected, double tolerance) {
  check_figure(what, relative_error(found, expected), tolerance);
}

}  // namespace dalle1::test

/// A check `name` (no commas: filters split at them), followed by its body.
#define CUDA_CHECK(name) TEST_CASE("CUDA: " name* doctest::skip(dalle1::test::no_gpu()))
