// A picture tensor as what its memory is: [planes, height, width, lanes].
#pragma once

#include "core/cuda/numbers.cuh"

namespace dalle1::cuda {

/// Lanes are the innermost channels: 1 in the plain layout, all of them in channels_last.
struct Picture {
  Numbers numbers;
  int64_t planes, height, width, lanes;

  explicit Picture(const Tensor& t) : numbers(cuda::numbers(t)), height(t.dim(2)), width(t.dim(3)), lanes(1) {
    check(t.layout() == Layout::plain || t.layout() == Layout::channels_last, ErrorKind::internal,
          "a blocked picture of {} on CUDA", t.shape());
    if (t.layout() == Layout::channels_last) lanes = t.dim(1);
    planes = lanes == 0 ? 0 : t.dim(0) * t.dim(1) / lanes;
  }
  int64_t count() const { return planes * height * width * lanes; }
  __device__ int64_t at(int64_t plane, int64_t row, int64_t column, int64_t lane) const {
    return ((plane * height + row) * width + column) * lanes + lane;
  }
};

/// One value of a picture, by its place in memory.
struct Pixel {
  int64_t plane, row, column, lane;
  __device__ Pixel(const Picture& picture, int64_t i) {
    lane = i % picture.lanes;
    i /= picture.lanes;
    column = i % picture.width;
    i /= picture.width;
    row = i % picture.height;
    plane = i / picture.height;
  }
};

}  // namespace dalle1::cuda
