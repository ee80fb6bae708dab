// One decoding step of attention: heads and blocks of candidates in parallel.
#include <algorithm>
#include <cstring>

#include "core/cpu/cached_attention_kernels.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/thread_scratch.h"

namespace dalle1 {

void CpuKernels::cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) {
  const int64_t candidates = q.dim(0), heads = q.dim(1), size = q.dim(2);
  if (candidates == 0) return;
  std::vector<cpu::PrefixRange> ranges;
  int32_t prefix_rows = 0;
  for (const KeyRange& range : cache.prefix) {
    ranges.push_back({range.begin, range.end});
    prefix_rows += range.end - range.begin;
  }
  const int64_t visible = prefix_rows + static_cast<int64_t>(cache.slots.size());
  check(visible > 0, ErrorKind::internal, "cached attention: no visible key");
  const int64_t prefix_stride = prefix_rows ? cache.prefix_keys->dim(1) * size : 0;
  const int64_t slot_stride = cache.slots.empty() ? 0 : cache.keys->dim(2) * size;

  const cpu::CachedAttentionKernels& kernels = cpu::cached_attention_kernels(cpu::best_isa());
  const int64_t blocks = (candidates + cpu::candidate_block - 1) / cpu::candidate_block;
  // Below this many products, waking a second thread costs more than it gives.
  constexpr int64_t least_work = 1 << 19;
  const int threads = candidates * heads * visible * size < least_work ? 1 : threads_;
  const cpu::ThreadScratch scratch(
      q.device(), threads, kernels.scratch(static_cast<int32_t>(visible), static_cast<int32_t>(size)));
  cpu::parallel_tasks(threads, heads * blocks, [&](int64_t piece) {
    const int64_t head = piece / blocks, first = piece % blocks * cpu::candidate_block;
    cpu::CachedAttentionBlock block;
    block.count = static_cast<int32_t>(std::min<int64_t>(cpu::candidate_block, candidates - first));
    block.size = static_cast<int32_t>(size);
    block.row_stride = heads * size;
    block.q = q.floats() + (first * heads + head) * size;
    block.y = y.floats() + (first * heads + head) * size;
    block.scale = scale;
    block.prefix = ranges.data();
    block.prefix_ranges = static_cast<int32_t>(ranges.size());
    block.prefix_rows = prefix_rows;
    if (prefix_rows) {
      block.prefix_keys = cache.prefix_keys->floats() + head * prefix_stride;
      block.prefix_values = cache.prefix_values->floats() + head * prefix_stride;
    }
    block.slots = cache.slots.data();
    block.slot_count = static_cast<int32_t>(cache.slots.size());
    if (!cache.slots.empty()) {
      block.keys = cache.keys->floats() + (first * heads + head) * slot_stride;
      block.values = cache.values->floats() + (first * heads + head) * slot_stride;
      block.store_stride = heads * slot_stride;
    }
    kernels.run(block, scratch.mine());
  });
}

void CpuKernels::cache_store(const Tensor& x, int64_t slot, Tensor& store) {
  const int64_t rows = x.dim(0) * x.dim(1), size = x.dim(2), stride = store.dim(2) * size;
  const float* from = x.floats();
  float* to = store.floats() + slot * size;
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(to + row * stride, from + row * size, size * sizeof(float));
}

}  // namespace dalle1
