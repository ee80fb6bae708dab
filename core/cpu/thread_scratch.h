// Scratch memory for each thread of a parallel loop, from the device's pool.
#pragma once

#include <omp.h>

#include <algorithm>
#include <bit>

#include "core/tensor/tensor.h"

namespace dalle1::cpu {

class ThreadScratch {
 public:
  /// At least `floats` a thread: powers of two, so that calls of slowly growing sizes share a block. Inside a
  /// parallel region a loop runs on the calling thread alone.
  ThreadScratch(Device& device, int64_t threads, int64_t floats)
      : memory_(Tensor::empty(device, {omp_in_parallel() ? 1 : threads, floats_for(floats)})) {}
  static int64_t floats_for(int64_t floats) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(floats, 16))));
  }
  /// 64-byte aligned; the calling thread's own.
  float* mine() const { return memory_.floats() + omp_get_thread_num() % memory_.dim(0) * memory_.dim(1); }

 private:
  Tensor memory_;
};

}  // namespace dalle1::cpu
