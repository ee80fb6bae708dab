#include "core/cuda/attention_plans.h"

namespace dalle1 {
namespace {

template <typename T>
const T* upload(CudaDevice& device, const std::vector<T>& values, cuda::DevicePlan& plan) {
  static_assert(sizeof(T) % sizeof(int32_t) == 0);
  if (values.empty()) return nullptr;
  const auto words = static_cast<int64_t>(values.size() * sizeof(T) / sizeof(int32_t));
  plan.memory.push_back(Tensor::empty(device, {words}, DType::i32));
  device.copy_from_host(plan.memory.back().raw(), values.data(), values.size() * sizeof(T));
  return static_cast<const T*>(plan.memory.back().raw());
}

/// Visits ordered by key tile, then by query tile.
struct ByKeys {
  std::vector<int32_t> begin;
  std::vector<AttentionVisit> visits;

  explicit ByKeys(const AttentionPlan& plan) : begin{0} {
    std::vector<std::vector<AttentionVisit>> lists(plan.key_tiles());
    for (int32_t i = 0; i < plan.query_tiles(); ++i)
      for (int32_t at = plan.begin[i]; at < plan.begin[i + 1]; ++at)
        lists[plan.visits[at].key_tile].push_back({i, plan.visits[at].mask});
    for (const auto& list : lists) {
      visits.insert(visits.end(), list.begin(), list.end());
      begin.push_back(static_cast<int32_t>(visits.size()));
    }
  }
};

std::unique_ptr<cuda::DevicePlan> make_plan(CudaDevice& device, const AttentionPattern& pattern,
                                            int32_t queries, int32_t keys) {
  const AttentionPlan plan = make_attention_plan(pattern, queries, keys);
  const ByKeys by_keys(plan);
  auto made = std::make_unique<cuda::DevicePlan>();
  made->tiles = plan.tiles();
  made->tiles.query_order = upload(device, plan.query_order, *made);
  made->tiles.key_order = upload(device, plan.key_order, *made);
  made->tiles.begin = upload(device, plan.begin, *made);
  made->tiles.visits = upload(device, plan.visits, *made);
  const TileMask* masks = upload(device, plan.masks, *made);
  made->tiles.masks = masks ? masks->data() : nullptr;
  made->query_tiles = plan.query_tiles();
  made->key_begin = upload(device, by_keys.begin, *made);
  made->key_visits = upload(device, by_keys.visits, *made);
  return made;
}

}  // namespace

const cuda::DevicePlan& CudaKernels::AttentionPlans::find(CudaDevice& device, const AttentionPattern& pattern,
                                                          int64_t queries, int64_t keys) {
  std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.plan->tiles.queries == queries && entry.plan->tiles.keys == keys && entry.pattern == pattern)
      return *entry.plan;
  auto plan = make_plan(device, pattern, static_cast<int32_t>(queries), static_cast<int32_t>(keys));
  if (entries_.size() >= kMost) entries_.erase(entries_.begin());
  entries_.push_back({pattern, std::move(plan)});
  return *entries_.back().plan;
}

}  // namespace dalle1
