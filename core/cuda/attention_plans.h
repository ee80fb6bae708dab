// The walk of each attention pattern over its tiles, on the device: made once per pattern and length.
#pragma once

#include <mutex>
#include <vector>

#include "core/attention/attention_plan.h"
#include "core/cuda/cuda_device.h"

namespace dalle1 {

namespace cuda {

struct DevicePlan {
  AttentionTiles tiles;  ///< Pointers to device memory.
  int32_t query_tiles = 0;
  /// The same visits by key tile: `key_tile` is then the tile of queries. For the gradients of keys.
  const int32_t* key_begin = nullptr;
  const AttentionVisit* key_visits = nullptr;
  std::vector<Tensor> memory;
};

}  // namespace cuda

struct CudaKernels::AttentionPlans {
  /// A model has few patterns; the oldest goes when there are many.
  const cuda::DevicePlan& find(CudaDevice& device, const AttentionPattern& pattern, int64_t queries,
                               int64_t keys);

 private:
  struct Entry {
    AttentionPattern pattern;
    std::unique_ptr<cuda::DevicePlan> plan;
  };
  static constexpr size_t kMost = 64;
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace dalle1
