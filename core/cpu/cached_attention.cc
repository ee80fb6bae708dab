// One decoding step of attention: heads and blocks of candidates in parallel.
#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "core/cpu/cached_attention_kernels.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/thread_scratch.h"

namespace dalle1 {
namespace {

/// Rows of heads, one row a candidate, wherever they lie.
struct HeadRows {
  float* data;
  int64_t stride;  ///< Floats between candidates.
};

HeadRows rows_of(const Tensor& x) { return {x.floats(), x.dim(1) * x.dim(2)}; }

void store_rows(const HeadRows& x, int64_t slot, Tensor& store) {
  const int64_t heads = store.dim(1), slots = store.dim(2), size = store.dim(3);
  const bool bf16 = store.dtype() == DType::bf16;
  const auto round = cpu::cached_attention_kernels(cpu::best_isa()).round;
  for (int64_t n = 0; n < store.dim(0); ++n)
    for (int64_t head = 0; head < heads; ++head) {
      const float* row = x.data + n * x.stride + head * size;
      const int64_t place = ((n * heads + head) * slots + slot) * size;
      if (bf16)
        round(row, size, store.data<Bf16>() + place);
      else
        std::memcpy(store.floats() + place, row, size * sizeof(float));
    }
}

constexpr int64_t kPanel = 16;  // keys

/// What cached attention prepares of the prefix's keys [H, P, D].
struct PrefixPanels {
  Tensor keys;  ///< [H, panels, D, 16], 0 where there is no key.
};

void copy_panels(const float* rows, int64_t count, int64_t size, float* panels) {
  for (int64_t p = 0; p < count; ++p) {
    float* lane = panels + p / kPanel * size * kPanel + p % kPanel;
    for (int64_t d = 0; d < size; ++d) lane[d * kPanel] = rows[p * size + d];
  }
}

Tensor prefix_panels(const Tensor& keys) {
  return keys.with_prepared<PrefixPanels>([&](PrefixPanels& prepared) {
    Tensor& panels = prepared.keys;
    if (panels.defined()) return panels;
    const int64_t heads = keys.dim(0), count = keys.dim(1), size = keys.dim(2);
    panels = Tensor::zeros(keys.device(), {heads, (count + kPanel - 1) / kPanel, size, kPanel});
    for (int64_t head = 0; head < heads; ++head)
      copy_panels(keys.floats() + head * count * size, count, size,
                  panels.floats() + head * panels.dim(1) * size * kPanel);
    return panels;
  });
}

cpu::CachedAttentionBlock whole_block(const CachedAttention& cache, std::span<const cpu::PrefixRange> ranges,
                                      const HeadRows& q, float scale, Tensor& y) {
  cpu::CachedAttentionBlock block;
  block.size = static_cast<int32_t>(y.dim(2));
  block.q = q.data;
  block.q_stride = q.stride;
  block.y = y.floats();
  block.y_stride = rows_of(y).stride;
  block.scale = scale;
  block.prefix = ranges.data();
  block.prefix_ranges = static_cast<int32_t>(ranges.size());
  for (const auto& range : ranges) block.prefix_rows += range.end - range.begin;
  block.slots = cache.slots.data();
  block.slot_count = static_cast<int32_t>(cache.slots.size());
  return block;
}

/// The part of `whole` that does head `head` of the candidates from `first` on.
cpu::CachedAttentionBlock part_of(const cpu::CachedAttentionBlock& whole, const CachedAttention& cache,
                                  const Tensor& panels, int64_t head, int64_t first, int64_t candidates) {
  cpu::CachedAttentionBlock block = whole;
  block.count = static_cast<int32_t>(std::min<int64_t>(cpu::candidate_block, candidates - first));
  block.q += first * whole.q_stride + head * whole.size;
  block.y += first * whole.y_stride + head * whole.size;
  if (whole.prefix_rows) {
    const Tensor& values = *cache.prefix_values;
    block.prefix_keys = panels.floats() + head * panels.dim(1) * whole.size * kPanel;
    block.prefix_values = values.floats() + head * values.dim(1) * whole.size;
  }
  if (whole.slot_count) {
    const Tensor& keys = *cache.keys;
    const int64_t store = keys.dim(2) * whole.size, place = (first * keys.dim(1) + head) * store;
    block.store_stride = keys.dim(1) * store;
    block.bf16 = keys.dtype() == DType::bf16;
    const auto at = [&](const Tensor& rows) -> const void* {
      return block.bf16 ? static_cast<const void*>(rows.data<Bf16>() + place) : rows.floats() + place;
    };
    block.keys = at(keys);
    block.values = at(*cache.values);
  }
  return block;
}

void attend(const HeadRows& q, const CachedAttention& cache, float scale, int thread_limit, Tensor& y) {
  const int64_t candidates = y.dim(0), heads = y.dim(1), size = y.dim(2);
  if (candidates == 0) return;
  std::vector<cpu::PrefixRange> ranges;
  for (const KeyRange& range : cache.prefix) ranges.push_back({range.begin, range.end});
  const cpu::CachedAttentionBlock whole = whole_block(cache, ranges, q, scale, y);
  const int32_t visible = whole.prefix_rows + whole.slot_count;
  check(visible > 0, ErrorKind::internal, "cached attention: no visible key");
  const Tensor panels = whole.prefix_rows ? prefix_panels(*cache.prefix_keys) : Tensor();

  const cpu::CachedAttentionKernels& kernels = cpu::cached_attention_kernels(cpu::best_isa());
  const int64_t blocks = (candidates + cpu::candidate_block - 1) / cpu::candidate_block;
  // Below this many products, waking a second thread costs more than it gives.
  constexpr int64_t least_work = 1 << 19;
  const int threads = candidates * heads * visible * size < least_work ? 1 : thread_limit;
  const cpu::ThreadScratch scratch(y.device(), threads, kernels.scratch(visible, whole.size));
  cpu::parallel_tasks(threads, heads * blocks, [&](int64_t piece) {
    const int64_t head = piece / blocks, first = piece % blocks * cpu::candidate_block;
    kernels.run(part_of(whole, cache, panels, head, first, candidates), scratch.mine());
  });
}

}  // namespace

void CpuKernels::cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) {
  attend(rows_of(q), cache, scale, threads_, y);
}

void CpuKernels::cache_store(const Tensor& x, int64_t slot, Tensor& store) {
  store_rows(rows_of(x), slot, store);
}

void CpuKernels::attend_step(const StepArguments& a) {
  const int64_t width = a.y.dim(1) * a.y.dim(2);
  Tensor keys = *a.cache.keys, values = *a.cache.values;
  store_rows({a.qkv.floats() + width, 3 * width}, a.slot, keys);
  store_rows({a.qkv.floats() + 2 * width, 3 * width}, a.slot, values);
  attend({a.qkv.floats(), 3 * width}, a.cache, a.scale, threads_, a.y);
}

}  // namespace dalle1
