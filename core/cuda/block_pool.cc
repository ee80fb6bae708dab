#include "core/cuda/block_pool.h"

#include <algorithm>

#include "core/cuda/cuda_error.h"

namespace dalle1::cuda {
namespace {

constexpr size_t kSmall = size_t{1} << 20;
constexpr size_t kSmallStep = 512, kLargeStep = size_t{2} << 20;

size_t rounded(size_t bytes) {
  const size_t step = bytes < kSmall ? kSmallStep : kLargeStep;
  return std::max<size_t>((bytes + step - 1) / step, 1) * step;
}

// A pooled block may be larger than asked for by this much, so that nearly equal sizes share blocks.
size_t largest_fit(size_t size) { return size < kSmall ? size : size + size / 8; }

}  // namespace

BlockPool::~BlockPool() {
  for (const auto& [size, block] : free_) cudaFree(block);
}

void* BlockPool::take(size_t bytes) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* block = is_apart_ ? take_from(apart_, size) : nullptr;
  if (!block) block = take_from(free_, size);
  if (!block) block = take_fresh(size);
  use_.in_use += sizes_.at(block);
  use_.peak = std::max(use_.peak, use_.in_use);
  return block;
}

void BlockPool::give_back(void* block) {
  std::lock_guard lock(mutex_);
  const auto found = sizes_.find(block);
  use_.in_use -= found->second;
  if (is_apart_) {
    apart_.emplace(found->second, block);
  } else {
    pooled_ += found->second;
    free_.emplace(found->second, block);
  }
  sizes_.erase(found);
}

void BlockPool::keep_apart() {
  std::lock_guard lock(mutex_);
  is_apart_ = true;
}

std::vector<void*> BlockPool::end_apart() {
  std::lock_guard lock(mutex_);
  std::vector<void*> kept;
  for (const auto& [size, block] : apart_) {
    kept.push_back(block);
    kept_sizes_.emplace(block, size);
  }
  apart_.clear();
  is_apart_ = false;
  return kept;
}

void BlockPool::return_kept(const std::vector<void*>& blocks) {
  std::lock_guard lock(mutex_);
  for (void* block : blocks) {
    const auto found = kept_sizes_.find(block);
    pooled_ += found->second;
    free_.emplace(found->second, block);
    kept_sizes_.erase(found);
  }
}

void* BlockPool::take_from(Blocks& blocks, size_t size) {
  const auto found = blocks.lower_bound(size);
  if (found == blocks.end() || found->first > largest_fit(size)) return nullptr;
  void* block = found->second;
  sizes_.emplace(block, found->first);
  if (&blocks == &free_) pooled_ -= found->first;
  blocks.erase(found);
  return block;
}

void* BlockPool::take_fresh(size_t size) {
  void* block = nullptr;
  cudaError_t status = cudaMalloc(&block, size);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the failure is dealt with here
    release_all();       // what is pooled is in pieces of other sizes
    status = cudaMalloc(&block, size);
  }
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t available = 0, total = 0;
    require(cudaMemGetInfo(&available, &total), "asking for free memory");
    fail(ErrorKind::memory, "not enough GPU memory: {} bytes needed, {} bytes available of {}", size,
         available, total);
  }
  require(status, "allocating memory");
  ++driver_allocations_;
  sizes_.emplace(block, size);
  return block;
}

void BlockPool::release_all() {
  for (const auto& [size, block] : free_) require(cudaFree(block), "freeing memory");
  free_.clear();
  pooled_ = 0;
}

size_t BlockPool::pooled() const {
  std::lock_guard lock(mutex_);
  return pooled_;
}

MemoryUse BlockPool::use() const {
  std::lock_guard lock(mutex_);
  return use_;
}

void BlockPool::reset_peak() {
  std::lock_guard lock(mutex_);
  use_.peak = use_.in_use;
}

int64_t BlockPool::driver_allocations() const {
  std::lock_guard lock(mutex_);
  return driver_allocations_;
}

}  // namespace dalle1::cuda
