// A picture tensor as what its memory is, whatever its layout: [planes, height, width, lanes].
#pragma once

#include <type_traits>

#include "core/tensor/tensor.h"

namespace dalle1::cpu {

/// Lanes are the innermost channels: 1 in the plain layout, the block in a blocked one, all in channels_last.
struct Picture {
  float* data;
  int64_t planes, height, width, lanes;

  explicit Picture(const Tensor& t) : data(t.stored<float>()), height(t.dim(2)), width(t.dim(3)) {
    lanes = t.layout() == Layout::channels_last ? t.dim(1) : block_of(t.layout());
    planes = lanes == 0 ? 0 : t.dim(0) * ((t.dim(1) + lanes - 1) / lanes);
  }
  int64_t row_size() const { return width * lanes; }
  int64_t plane_size() const { return height * width * lanes; }
  float* row(int64_t plane, int64_t y) const { return data + plane * plane_size() + y * row_size(); }
};

/// Calls body with the number of lanes, as a compile-time constant where it is a usual one: short inner loops
/// of known length vectorise.
template <typename Body>
void with_lanes(int64_t lanes, const Body& body) {
  switch (lanes) {
    case 1:
      return body(std::integral_constant<int64_t, 1>{});
    case 8:
      return body(std::integral_constant<int64_t, 8>{});
    case 16:
      return body(std::integral_constant<int64_t, 16>{});
    default:
      return body(lanes);
  }
}

}  // namespace dalle1::cpu
