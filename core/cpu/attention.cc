// Attention over whole sequences: one (sequence, head) after another in parallel, tiles as the pattern says.
#include <algorithm>
#include <mutex>

#include "core/attention/attention_plan.h"
#include "core/cpu/attention_kernels.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/thread_scratch.h"

namespace dalle1 {

/// The plans of the patterns in use. A model has few; the oldest goes when there are many.
struct CpuKernels::AttentionPlans {
  struct Entry {
    AttentionPattern pattern;
    std::shared_ptr<const AttentionPlan> plan;
  };
  static constexpr size_t most = 64;
  std::mutex mutex;
  std::vector<Entry> entries;

  std::shared_ptr<const AttentionPlan> find(const AttentionPattern& pattern, int32_t queries, int32_t keys) {
    std::lock_guard lock(mutex);
    for (const Entry& entry : entries)
      if (entry.plan->queries == queries && entry.plan->keys == keys && entry.pattern == pattern)
        return entry.plan;
    auto plan = std::make_shared<const AttentionPlan>(make_attention_plan(pattern, queries, keys));
    if (entries.size() >= most) entries.erase(entries.begin());
    entries.push_back({pattern, plan});
    return plan;
  }
};

/// B * H heads of [B, T, H, D], or of thirds of [B, T, 3 H D]: where each begins, and their gradients.
struct CpuKernels::AttentionHeads {
  Device& device;
  int64_t batch = 0, heads = 0;
  int32_t queries = 0, keys = 0, size = 0;
  int64_t stride = 0;  ///< Between positions of q, k, v and their gradients.
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float *y = nullptr, *logsumexp = nullptr;
  const float* dy = nullptr;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;

  int64_t count() const { return batch * heads; }
  int64_t y_stride() const { return heads * size; }
  int64_t offset(int64_t head, int64_t positions, int64_t step) const {
    return head / heads * positions * step + head % heads * size;
  }
  cpu::AttentionHead head(int64_t index, float scale) const {
    const int64_t at_q = offset(index, queries, stride), at_k = offset(index, keys, stride);
    cpu::AttentionHead head;
    head.q = q + at_q;
    head.k = k + at_k;
    head.v = v + at_k;
    head.y = y + offset(index, queries, y_stride());
    head.logsumexp = logsumexp + index * queries;
    head.stride = stride;
    head.y_stride = y_stride();
    head.size = size;
    head.scale = scale;
    return head;
  }
  cpu::AttentionHeadGradients gradients(int64_t index) const {
    const int64_t at_q = offset(index, queries, stride), at_k = offset(index, keys, stride);
    return {dy + offset(index, queries, y_stride()), dq + at_q, dk + at_k, dv + at_k};
  }

  AttentionHeads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& logsumexp)
      : device(q.device()),
        batch(q.dim(0)),
        heads(q.dim(2)),
        queries(static_cast<int32_t>(q.dim(1))),
        keys(static_cast<int32_t>(k.dim(1))),
        size(static_cast<int32_t>(q.dim(3))),
        stride(heads * size),
        q(q.floats()),
        k(k.floats()),
        v(v.floats()),
        y(y.floats()),
        logsumexp(logsumexp.floats()) {}
  AttentionHeads(const Tensor& qkv, const Tensor& y, const Tensor& logsumexp)
      : device(qkv.device()),
        batch(qkv.dim(0)),
        heads(logsumexp.dim(1)),
        queries(static_cast<int32_t>(qkv.dim(1))),
        keys(queries),
        size(static_cast<int32_t>(qkv.dim(2) / 3 / heads)),
        stride(qkv.dim(2)),
        q(qkv.floats()),
        k(q + stride / 3),
        v(k + stride / 3),
        y(y.floats()),
        logsumexp(logsumexp.floats()) {}
};

namespace cpu {

const AttentionKernels& attention_kernels(DType compute) {
  if (compute == DType::bf16 && may_use(Isa::amx)) return attention_amx;
  if (compute == DType::bf16 && may_use(Isa::bf16)) return attention_avx512bf16;
  return best_isa() == Isa::avx512 ? attention_avx512 : attention_avx2;
}

}  // namespace cpu

std::shared_ptr<CpuKernels::AttentionPlans> CpuKernels::make_attention_plans() {
  return std::make_shared<AttentionPlans>();
}

void CpuKernels::attend_sequences(const AttentionHeads& heads, const AttentionOptions& options) {
  const auto plan = attention_plans_->find(options.pattern, heads.queries, heads.keys);
  const AttentionTiles tiles = plan->tiles();
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(options.compute);
  // A head's queries are shared out only when there are fewer heads than threads.
  const int64_t parts =
      std::min<int64_t>((threads_ + heads.count() - 1) / heads.count(), plan->query_tiles());
  const int64_t pieces = heads.count() * parts;
  const cpu::ThreadScratch scratch(heads.device, std::min<int64_t>(threads_, pieces),
                                   kernels.forward_scratch(tiles.key_tiles, heads.size));
  cpu::parallel_tasks(threads_, pieces, [&](int64_t piece) {
    const int64_t index = piece / parts, part = piece % parts;
    const auto first = static_cast<int32_t>(plan->query_tiles() * part / parts);
    const auto last = static_cast<int32_t>(plan->query_tiles() * (part + 1) / parts);
    kernels.forward(tiles, heads.head(index, options.scale), first, last, scratch.mine());
  });
}

void CpuKernels::attend_sequences_backward(const AttentionHeads& heads, const AttentionOptions& options) {
  const auto plan = attention_plans_->find(options.pattern, heads.queries, heads.keys);
  const AttentionTiles tiles = plan->tiles();
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(options.compute);
  const cpu::ThreadScratch scratch(heads.device, std::min<int64_t>(threads_, heads.count()),
                                   kernels.backward_scratch(tiles.key_tiles, heads.size));
  cpu::parallel_tasks(threads_, heads.count(), [&](int64_t index) {
    kernels.backward(tiles, heads.head(index, options.scale), heads.gradients(index), scratch.mine());
  });
}

void CpuKernels::attention(const AttentionArguments& a) {
  if (a.y.numel() > 0) attend_sequences({a.q, a.k, a.v, a.y, a.logsumexp}, a.options);
}

void CpuKernels::attention_backward(const AttentionBackward& a) {
  if (a.k.numel() == 0) return;
  AttentionHeads heads(a.q, a.k, a.v, a.y, a.logsumexp);
  heads.dy = a.dy.floats();
  heads.dq = a.dq.floats();
  heads.dk = a.dk.floats();
  heads.dv = a.dv.floats();
  attend_sequences_backward(heads, a.options);
}

void CpuKernels::self_attention(const SelfAttentionArguments& a) {
  if (a.y.numel() > 0) attend_sequences({a.qkv, a.y, a.logsumexp}, a.options);
}

void CpuKernels::self_attention_backward(const SelfAttentionBackward& a) {
  if (a.y.numel() == 0) return;
  AttentionHeads heads(a.qkv, a.y, a.logsumexp);
  heads.dy = a.dy.floats();
  heads.dq = a.dqkv.floats();
  heads.dk = heads.dq + heads.stride / 3;
  heads.dv = heads.dk + heads.stride / 3;
  attend_sequences_backward(heads, a.options);
}

}  // namespace dalle1
