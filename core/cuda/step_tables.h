// What the steps of cached decoding see where the host says it step by step: uploaded once a step and
// pattern.
#pragma once

#include <mutex>
#include <vector>

#include "core/cuda/cuda_device.h"

namespace dalle1 {

namespace cuda {
constexpr int kStepNumbers = 5;  ///< See DecodeSteps.
}

/// The lists of the last steps, on the device. Layers of one pattern share theirs.
struct CudaKernels::StepTables {
  /// One step in the form of DecodeSteps: its five numbers, then its lists, to which they point.
  const int32_t* find(CudaDevice& device, const CachedAttention& cache, int64_t slot);

 private:
  struct Table {
    std::vector<int32_t> numbers;
    int64_t used = 0;
  };
  static constexpr int64_t kTables = 16, kGrain = 1024;
  std::mutex mutex_;
  std::vector<Table> tables_ = std::vector<Table>(kTables);
  Tensor memory_;  // i32 [kTables, room]
  int64_t room_ = 0, clock_ = 0;
};

}  // namespace dalle1
