#include "transformer/sequence.h"

#include <algorithm>

#include "core/ops/attention.h"
#include "core/ops/movement.h"
#include "core/ops/rotary.h"
#include "transformer/token_shift.h"

namespace dalle1::transformer {
namespace {

constexpr int kThirds = 3;

// Third `part` of the rows of a prompt's qkv [1, T, 3C] as [H, T, D].
Tensor by_heads(Context& context, const Tensor& qkv, int part, int64_t heads) {
  const int64_t length = qkv.dim(1), width = qkv.dim(2) / kThirds;
  const Tensor third = ops::slice(context, qkv, -1, part * width, (part + 1) * width);
  return ops::permute(context, ops::reshape(context, third, {length, heads, width / heads}), {1, 0, 2});
}

// qkv [.., 3C] with its queries and keys turned.
Tensor turned(Context& context, const Tensor& qkv, const Rotations& rotations) {
  if (!rotations.defined()) return qkv;
  const int turning = rotations.values ? kThirds : 2;
  return ops::rotary(context, qkv, rotations.table, turning * qkv.dim(-1) / kThirds);
}

}  // namespace

Tensor WholeSequence::attend(Context& context, int layer, const Tensor& plain, DType compute) {
  const Tensor qkv =
      turned(context, plain, rotations_.defined() ? rotations_.rows(0, plain.dim(1)) : rotations_);
  keep(context, layer, qkv);
  return ops::self_attention(context, qkv, heads_, patterns_[layer], compute);
}

Tensor WholeSequence::shift(Context& context, int branch, const Tensor& x) {
  keep_shifted(context, branch, x);
  const AttentionPattern& seen = pattern(branch / 2);
  return shift_tokens(context, x, seen.text, seen.grid);
}

LayerPrefix& PrefillSequence::of_layer(int layer) {
  if (static_cast<int>(layers_.size()) <= layer) layers_.resize(layer + 1);
  return layers_[layer];
}

void PrefillSequence::keep(Context& context, int layer, const Tensor& qkv) {
  check(qkv.dim(0) == 1, ErrorKind::internal, "a prefix is of one prompt, not {}", qkv.dim(0));
  Context plain = context.untaped();
  of_layer(layer).keys = by_heads(plain, qkv, 1, heads_);
  of_layer(layer).values = by_heads(plain, qkv, 2, heads_);
}

void PrefillSequence::keep_shifted(Context& context, int branch, const Tensor& x) {
  Context plain = context.untaped();
  const AttentionPattern& seen = pattern(branch / 2);
  of_layer(branch / 2).newest[branch % 2] = newest_cells(plain, x, seen.text, seen.grid);
}

SlotPlan::SlotPlan(const AttentionPattern& pattern, int32_t begin, int32_t end, bool retain_all)
    : begin_(begin), text_(pattern.text), grid_(pattern.grid), prefix_offsets_{0}, visible_offsets_{0} {
  assign(pattern, end, retain_all);
  for (int32_t query = begin; query < end; ++query) {
    for (const KeyRange& range : key_ranges(pattern, query)) {
      if (range.begin < begin) prefix_.push_back({range.begin, std::min(range.end, begin)});
      for (int32_t key = std::max(range.begin, begin); key < range.end; ++key) visible_.push_back(slot(key));
    }
    prefix_offsets_.push_back(static_cast<int32_t>(prefix_.size()));
    visible_offsets_.push_back(static_cast<int32_t>(visible_.size()));
  }
}

// Each key takes the lowest slot whose last key nobody will see again. Where nearly all keys are wanted at
// the same time the store is simply in order of position.
void SlotPlan::assign(const AttentionPattern& pattern, int32_t end, bool retain_all) {
  const int32_t count = end - begin_;
  std::vector<int32_t> busy_until;
  for (int32_t position = begin_; position < end; ++position) {
    const auto free =
        std::find_if(busy_until.begin(), busy_until.end(), [&](int32_t last) { return last < position; });
    slot_.push_back(static_cast<int32_t>(free - busy_until.begin()));
    const int32_t last = last_query(pattern, position);
    if (free == busy_until.end()) {
      busy_until.push_back(last);
    } else {
      *free = last;
    }
  }
  slots_ = static_cast<int32_t>(busy_until.size());
  if (!retain_all && slots_ < count - pattern.grid) return;
  slots_ = count;
  for (int32_t i = 0; i < count; ++i) slot_[i] = i;
}

std::span<const KeyRange> SlotPlan::prefix(int32_t position) const {
  const int32_t query = position - begin_;
  return std::span(prefix_).subspan(prefix_offsets_[query],
                                    prefix_offsets_[query + 1] - prefix_offsets_[query]);
}

std::span<const int32_t> SlotPlan::visible(int32_t position) const {
  const int32_t query = position - begin_;
  return std::span(visible_).subspan(visible_offsets_[query],
                                     visible_offsets_[query + 1] - visible_offsets_[query]);
}

DecodeSteps SlotPlan::steps_on(Device& device, const Tensor& cell, int32_t origin) const {
  std::vector<int32_t> lists, steps, last_rows;
  int32_t rows_begin = 0;
  const auto count = static_cast<int32_t>(slot_.size());
  for (int32_t position = begin_; position < begin_ + count; ++position) {
    std::vector<int32_t> rows;
    for (const KeyRange& range : prefix(position))
      for (int32_t row = range.begin; row < range.end; ++row) rows.push_back(row);
    if (position == begin_ || rows != last_rows) {  // mostly all of the text, step after step
      rows_begin = static_cast<int32_t>(lists.size());
      lists.insert(lists.end(), rows.begin(), rows.end());
      last_rows = rows;
    }
    const auto slots = visible(position);
    const auto slots_begin = static_cast<int32_t>(lists.size());
    lists.insert(lists.end(), slots.begin(), slots.end());
    steps.insert(steps.end(), {rows_begin, static_cast<int32_t>(rows.size()), slots_begin,
                               static_cast<int32_t>(slots.size()), slot(position)});
  }
  const auto upload = [&](const std::vector<int32_t>& values) {
    Tensor tensor = Tensor::empty(device, {static_cast<int64_t>(values.size())}, DType::i32);
    device.copy_from_host(tensor.raw(), values.data(), values.size() * sizeof(int32_t));
    return tensor;
  };
  return {upload(lists), upload(steps), cell, begin_ - origin};
}

SlotPlans plan_slots(std::span<const AttentionPattern> patterns, int32_t begin, int32_t end,
                     bool retain_all) {
  SlotPlans plans;
  for (size_t layer = 0; layer < patterns.size(); ++layer) {
    size_t same = 0;
    while (!(patterns[same] == patterns[layer])) ++same;
    plans.push_back(same < layer ? plans[same]
                                 : std::make_shared<const SlotPlan>(patterns[layer], begin, end, retain_all));
  }
  return plans;
}

CacheType cache_type_from_name(std::string_view name) {
  if (name == "auto") return CacheType::automatic;
  if (name == "f32") return CacheType::f32;
  if (name == "bf16") return CacheType::bf16;
  if (name == "fp8") return CacheType::e4m3;
  if (name == "mixed") return CacheType::mixed;
  fail(ErrorKind::usage, "keys and values in {}: use auto, f32, bf16, fp8 or mixed", name);
}

CacheType layer_cache(CacheType type, const SlotPlan& plan) {
  if (type != CacheType::mixed) return type;
  return plan.keeps_most() ? CacheType::e4m3 : CacheType::bf16;
}

DType store_type(CacheType type, DType dtype) {
  switch (type) {
    case CacheType::automatic:
      return dtype;
    case CacheType::f32:
      return DType::f32;
    case CacheType::e4m3:
      return DType::u8;
    default:
      return DType::bf16;
  }
}

DType prefix_type(CacheType type, DType dtype, DeviceKind device) {
  if (device == DeviceKind::cpu) return dtype;
  return type == CacheType::e4m3 ? DType::bf16 : store_type(type, dtype);
}

CachedSequence::CachedSequence(Device& device, SlotPlans plans,
                               std::vector<std::span<const LayerPrefix>> prefixes, int64_t candidates,
                               CacheType type)
    : plans_(std::move(plans)), prefixes_(std::move(prefixes)), candidates_(candidates) {
  const Tensor& sample = prefixes_.at(0).front().keys;
  heads_ = sample.dim(0);
  head_size_ = sample.dim(2);
  for (size_t group = 0; group < prefixes_.size(); ++group) {
    check(prefixes_[group].size() == plans_.size(), ErrorKind::internal, "a prefix of {} layers for {}",
          prefixes_[group].size(), plans_.size());
    for (size_t layer = 0; layer < plans_.size(); ++layer) {
      const DType dtype = store_type(layer_cache(type, *plans_[layer]), prefixes_[group][layer].keys.dtype());
      const bool packed = dtype == DType::u8;
      const int64_t slots = std::max(plans_[layer]->slots(), 1);
      const Shape shape{candidates, heads_, slots, head_size_}, rows{candidates, heads_, slots};
      Store& store = stores_.emplace_back();
      store.keys = Tensor::empty(device, shape, dtype);
      store.values = Tensor::empty(device, shape, dtype);
      if (packed) store.key_scales = Tensor::empty(device, rows);
      if (packed) store.value_scales = Tensor::empty(device, rows);
    }
  }
  start_shift(device);
}

void CachedSequence::start_shift(Device& device) {
  Context context(device);
  for (size_t branch = 0; branch < 2 * plans_.size(); ++branch) {
    std::vector<Tensor> groups;
    for (const auto& prefix : prefixes_) {
      const Tensor& newest = prefix[branch / 2].newest[branch % 2];
      if (!newest.defined()) return;
      groups.push_back(ops::broadcast(newest.view({newest.dim(0), 1, newest.dim(1)}),
                                      {newest.dim(0), candidates_, newest.dim(1)}));
    }
    newest_.push_back(ops::concat(context, groups, 1));
  }
}

void CachedSequence::seek(int32_t position) {
  position_ = position;
  const auto groups = static_cast<int64_t>(prefixes_.size());
  for (size_t layer = 0; layer < plans_.size(); ++layer) {
    for (const KeyRange& range : plans_[layer]->prefix(position))
      prefix_rows_read_ += groups * (range.end - range.begin);
    const auto visible = static_cast<int64_t>(plans_[layer]->visible(position).size());
    const Store& store = stores_[layer];  // as large in all groups
    private_rows_read_ += groups * visible * candidates_;
    private_bytes_read_ += groups * visible * static_cast<int64_t>(store.bytes()) / store.keys.dim(2);
  }
}

void CachedSequence::follow(const Tensor& cell, int32_t origin) {
  steps_.clear();
  for (size_t layer = 0; layer < plans_.size(); ++layer) {
    size_t same = 0;
    while (plans_[same] != plans_[layer]) ++same;
    steps_.push_back(same < layer ? steps_[same]
                                  : std::make_shared<const DecodeSteps>(
                                        plans_[layer]->steps_on(cell.device(), cell, origin)));
  }
}

Tensor CachedSequence::attend(Context& context, int layer, const Tensor& plain, DType) {
  const Tensor qkv = turned(context, plain, rotation_);
  const auto groups = static_cast<int64_t>(prefixes_.size());
  check(qkv.dim(0) == groups * candidates_, ErrorKind::internal, "{} rows for {} groups of {} candidates",
        qkv.dim(0), groups, candidates_);
  const SlotPlan& plan = *plans_[layer];
  std::vector<CachedAttention> caches(prefixes_.size());
  for (size_t group = 0; group < caches.size(); ++group) {
    CachedAttention& cache = caches[group];
    const Store& store = stores_[group * plans_.size() + layer];
    cache.prefix = plan.prefix(position_);
    cache.slots = plan.visible(position_);
    if (!steps_.empty()) cache.steps = steps_[layer].get();
    cache.prefix_keys = &prefixes_[group][layer].keys;
    cache.prefix_values = &prefixes_[group][layer].values;
    cache.keys = &store.keys;
    cache.values = &store.values;
    if (store.key_scales.defined()) {
      cache.key_scales = &store.key_scales;
      cache.value_scales = &store.value_scales;
    }
  }
  return ops::cached_attention(qkv, heads_, caches, plan.slot(position_));
}

Tensor CachedSequence::shift(Context& context, int branch, const Tensor& x) {
  const int32_t column = plans_[static_cast<size_t>(branch) / 2]->column(position_);
  return shift_cell(context, x, column, newest_.at(static_cast<size_t>(branch)));
}

size_t CachedSequence::Store::bytes() const {
  size_t total = 0;
  for (const Tensor* part : {&keys, &values, &key_scales, &value_scales})
    if (part->defined()) total += part->bytes();
  return total;
}

size_t CachedSequence::bytes() const {
  size_t total = 0;
  for (const Store& store : stores_) total += store.bytes();
  for (const Tensor& newest : newest_) total += newest.bytes();
  return total;
}

}  // namespace dalle1::transformer
