// Shapes of launches, and sums over a warp or a block that are always added in the same tree.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cuda/cuda_device.h"
#include "core/cuda/cuda_error.h"

namespace dalle1::cuda {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr unsigned kAllLanes = 0xffffffffu;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Blocks of kThreads for n threads; n > 0.
inline unsigned blocks_for(int64_t n) {
  const int64_t blocks = ceil_div(n, kThreads);
  check(blocks <= INT32_MAX, ErrorKind::internal, "{} threads are too many for one launch", n);
  return static_cast<unsigned>(blocks);
}

__device__ inline int64_t thread_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Most {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <typename T, typename Combine>
__device__ T warp_combine(T value, Combine combine) {
  for (int offset = kWarp / 2; offset; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

/// All threads of the block take part and get the result. The number of threads is a multiple of 32.
template <typename T, typename Combine>
__device__ T block_combine(T value, Combine combine) {
  __shared__ T parts[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = warp_combine(value, combine);
  __syncthreads();  // an earlier call's parts have been read
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  T result = parts[0];
  for (int i = 1; i < warps; ++i) result = combine(result, parts[i]);
  return result;
}

template <typename T>
__device__ T block_sum(T value) {
  return block_combine(value, Add{});
}
__device__ inline float block_most(float value) { return block_combine(value, Most{}); }

}  // namespace dalle1::cuda
