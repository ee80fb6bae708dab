// Two tensors walked together through one index space.
#pragma once

#include <cstdint>
#include <vector>

#include "core/error.h"

namespace dalle1::cuda {

struct StridedWalk {
  static constexpr int kMostAxes = 6;
  struct Place {
    int64_t first, second;
  };

  int rank = 0;
  int64_t count = 1;
  int64_t extents[kMostAxes], first[kMostAxes], second[kMostAxes];

  /// Where index i (row-major) lies in the two, in elements.
  __device__ Place place(int64_t i) const {
    Place at{0, 0};
    if (count <= UINT32_MAX) {
      auto rest = static_cast<uint32_t>(i);  // a division of 64 bits costs several times as much
      for (int axis = rank - 1; axis >= 0; --axis) {
        const auto extent = static_cast<uint32_t>(extents[axis]);
        const uint32_t next = rest / extent, index = rest - next * extent;
        at.first += index * first[axis];
        at.second += index * second[axis];
        rest = next;
      }
      return at;
    }
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int64_t next = i / extents[axis], index = i - next * extents[axis];
      at.first += index * first[axis];
      at.second += index * second[axis];
      i = next;
    }
    return at;
  }
};

/// Axes of extent 1 go, and neighbours that are walked as one axis become one.
inline StridedWalk make_walk(const std::vector<int64_t>& extents, const std::vector<int64_t>& first,
                             const std::vector<int64_t>& second) {
  StridedWalk walk;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] == 1) continue;
    walk.count *= extents[axis];
    const int last = walk.rank - 1;
    if (last >= 0 && walk.first[last] == first[axis] * extents[axis] &&
        walk.second[last] == second[axis] * extents[axis]) {
      walk.extents[last] *= extents[axis];
      walk.first[last] = first[axis];
      walk.second[last] = second[axis];
      continue;
    }
    check(walk.rank < StridedWalk::kMostAxes, ErrorKind::internal, "a strided walk over more than {} axes",
          StridedWalk::kMostAxes);
    walk.extents[walk.rank] = extents[axis];
    walk.first[walk.rank] = first[axis];
    walk.second[walk.rank] = second[axis];
    ++walk.rank;
  }
  return walk;
}

}  // namespace dalle1::cuda
