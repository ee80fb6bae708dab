// Device memory by size: blocks go back to the pool, not to the driver, so that a loop that asks for the same
// sizes again never waits for it.
//
// All work of a device is in one stream, so a block may be handed out again while kernels that used it are
// still queued: whoever gets it comes after them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "core/tensor/device.h"

namespace dalle1::cuda {

class BlockPool {
 public:
  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// Error(memory) with the bytes needed and available when neither pool nor driver has them.
  void* take(size_t bytes);
  void give_back(void* block);

  /// From now on blocks that are given back serve these requests alone: a recording goes on using them.
  void keep_apart();
  /// The end of that: the blocks that the recording keeps, for return_kept() when it goes.
  std::vector<void*> end_apart();
  void return_kept(const std::vector<void*>& blocks);

  size_t pooled() const;  ///< Bytes that the pool holds ready.
  MemoryUse use() const;
  void reset_peak();
  int64_t driver_allocations() const;

 private:
  using Blocks = std::multimap<size_t, void*>;
  void* take_from(Blocks& blocks, size_t size);
  void* take_fresh(size_t size);
  void release_all();

  mutable std::mutex mutex_;
  Blocks free_, apart_;
  bool is_apart_ = false;
  std::map<void*, size_t> kept_sizes_;  // of blocks that recordings keep
  size_t pooled_ = 0;                   // bytes of free_
  MemoryUse use_;
  int64_t driver_allocations_ = 0;
  std::map<void*, size_t> sizes_;  // of blocks handed out
};

}  // namespace dalle1::cuda
