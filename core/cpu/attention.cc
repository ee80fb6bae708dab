// Attention over whole sequences: one (sequence, head) after another in parallel, tiles as the pattern says.
#include <algorithm>
#include <mutex>

#include "core/cpu/attention_plan.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/thread_scratch.h"

namespace dalle1 {

/// The plans of the patterns in use. A model has few; the oldest goes when there are many.
struct CpuKernels::AttentionPlans {
  struct Entry {
    AttentionPattern pattern;
    std::shared_ptr<const cpu::AttentionPlan> plan;
  };
  static constexpr size_t most = 64;
  std::mutex mutex;
  std::vector<Entry> entries;

  std::shared_ptr<const cpu::AttentionPlan> find(const AttentionPattern& pattern, int32_t queries,
                                                 int32_t keys) {
    std::lock_guard lock(mutex);
    for (const Entry& entry : entries)
      if (entry.plan->queries == queries && entry.plan->keys == keys && entry.pattern == pattern)
        return entry.plan;
    auto plan = std::make_shared<const cpu::AttentionPlan>(cpu::make_attention_plan(pattern, queries, keys));
    if (entries.size() >= most) entries.erase(entries.begin());
    entries.push_back({pattern, plan});
    return plan;
  }
};

namespace {

/// [B, T, H, D] seen as B * H heads.
struct Heads {
  int64_t batch, heads;
  int32_t queries, keys, size;

  Heads(const Tensor& q, const Tensor& k)
      : batch(q.dim(0)),
        heads(q.dim(2)),
        queries(static_cast<int32_t>(q.dim(1))),
        keys(static_cast<int32_t>(k.dim(1))),
        size(static_cast<int32_t>(q.dim(3))) {}
  int64_t count() const { return batch * heads; }
  int64_t stride() const { return heads * size; }
  int64_t query_offset(int64_t head) const { return head / heads * queries * stride() + head % heads * size; }
  int64_t key_offset(int64_t head) const { return head / heads * keys * stride() + head % heads * size; }
};

cpu::AttentionHead head_of(const Heads& heads, int64_t index, const Tensor& q, const Tensor& k,
                           const Tensor& v, const Tensor& y, const Tensor& logsumexp) {
  cpu::AttentionHead head;
  head.q = q.floats() + heads.query_offset(index);
  head.k = k.floats() + heads.key_offset(index);
  head.v = v.floats() + heads.key_offset(index);
  head.y = y.floats() + heads.query_offset(index);
  head.logsumexp = logsumexp.floats() + index * heads.queries;
  head.stride = heads.stride();
  head.size = heads.size;
  return head;
}

}  // namespace

std::shared_ptr<CpuKernels::AttentionPlans> CpuKernels::make_attention_plans() {
  return std::make_shared<AttentionPlans>();
}

void CpuKernels::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionPattern& pattern,
                           float scale, Tensor& y, Tensor& logsumexp) {
  const Heads heads(q, k);
  if (y.numel() == 0) return;
  const auto plan = attention_plans_->find(pattern, heads.queries, heads.keys);
  const cpu::AttentionTiles tiles = plan->tiles();
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(cpu::best_isa());
  // A head's queries are shared out only when there are fewer heads than threads.
  const int64_t parts =
      std::min<int64_t>((threads_ + heads.count() - 1) / heads.count(), plan->query_tiles());
  const int64_t pieces = heads.count() * parts;
  const cpu::ThreadScratch scratch(q.device(), std::min<int64_t>(threads_, pieces),
                                   kernels.forward_scratch(tiles.key_tiles, heads.size));
  cpu::parallel_tasks(threads_, pieces, [&](int64_t piece) {
    const int64_t index = piece / parts, part = piece % parts;
    cpu::AttentionHead head = head_of(heads, index, q, k, v, y, logsumexp);
    head.scale = scale;
    const auto first = static_cast<int32_t>(plan->query_tiles() * part / parts);
    const auto last = static_cast<int32_t>(plan->query_tiles() * (part + 1) / parts);
    kernels.forward(tiles, head, first, last, scratch.mine());
  });
}

void CpuKernels::attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y,
                                    const Tensor& logsumexp, const Tensor& dy,
                                    const AttentionPattern& pattern, float scale,
                                    AttentionGradients& gradients) {
  const Heads heads(q, k);
  if (k.numel() == 0) return;
  const auto plan = attention_plans_->find(pattern, heads.queries, heads.keys);
  const cpu::AttentionTiles tiles = plan->tiles();
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(cpu::best_isa());
  const cpu::ThreadScratch scratch(q.device(), std::min<int64_t>(threads_, heads.count()),
                                   kernels.backward_scratch(tiles.key_tiles, heads.size));
  cpu::parallel_tasks(threads_, heads.count(), [&](int64_t index) {
    cpu::AttentionHead head = head_of(heads, index, q, k, v, y, logsumexp);
    head.scale = scale;
    cpu::AttentionHeadGradients out;
    out.dy = dy.floats() + heads.query_offset(index);
    out.dq = gradients.dq.floats() + heads.query_offset(index);
    out.dk = gradients.dk.floats() + heads.key_offset(index);
    out.dv = gradients.dv.floats() + heads.key_offset(index);
    kernels.backward(tiles, head, out, scratch.mine());
  });
}

}  // namespace dalle1
