// Scratch memory for each thread of a parallel loop, from the device's pool.
#pragma once

#include <omp.h>

#include "core/tensor/tensor.h"

namespace dalle1::cpu {

class ThreadScratch {
 public:
  ThreadScratch(Device& device, int64_t threads, int64_t floats)
      : memory_(Tensor::empty(device, {threads, (floats + 15) / 16 * 16})) {}
  /// 64-byte aligned; the calling thread's own.
  float* mine() const {
    // Inside a parallel region that is not ours, loops run on the calling thread alone.
    return memory_.floats() + omp_get_thread_num() % memory_.dim(0) * memory_.dim(1);
  }

 private:
  Tensor memory_;
};

}  // namespace dalle1::cpu
