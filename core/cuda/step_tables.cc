#include "core/cuda/step_tables.h"

#include <algorithm>

namespace dalle1 {
namespace {

using cuda::kStepNumbers;

std::vector<int32_t> numbers_of(const CachedAttention& cache, int64_t slot) {
  std::vector<int32_t> numbers(kStepNumbers);
  for (const KeyRange& range : cache.prefix)
    for (int32_t position = range.begin; position < range.end; ++position) numbers.push_back(position);
  const auto prefix_end = static_cast<int32_t>(numbers.size());
  numbers.insert(numbers.end(), cache.slots.begin(), cache.slots.end());
  const auto end = static_cast<int32_t>(numbers.size());
  check(end > kStepNumbers, ErrorKind::internal, "cached attention: no visible key");
  numbers[0] = kStepNumbers;
  numbers[1] = prefix_end - kStepNumbers;
  numbers[2] = prefix_end;
  numbers[3] = end - prefix_end;
  numbers[4] = static_cast<int32_t>(slot);
  return numbers;
}

}  // namespace

const int32_t* CudaKernels::StepTables::find(CudaDevice& device, const CachedAttention& cache, int64_t slot) {
  std::vector<int32_t> numbers = numbers_of(cache, slot);
  std::lock_guard lock(mutex_);
  const auto count = static_cast<int64_t>(numbers.size());
  if (count > room_) {
    room_ = (count + kGrain - 1) / kGrain * kGrain;
    memory_ = Tensor::empty(device, {kTables, room_}, DType::i32);
    tables_.assign(kTables, {});
  }
  const auto same = [&](const Table& table) { return table.numbers == numbers; };
  auto found = std::find_if(tables_.begin(), tables_.end(), same);
  const bool known = found != tables_.end();
  if (!known)
    found = std::min_element(tables_.begin(), tables_.end(),
                             [](const Table& a, const Table& b) { return a.used < b.used; });
  int32_t* place = memory_.data<int32_t>() + (found - tables_.begin()) * room_;
  found->used = ++clock_;
  if (known) return place;
  // Kernels that read the table's old numbers are ahead of this in the stream.
  device.copy_from_host(place, numbers.data(), numbers.size() * sizeof(int32_t));
  found->numbers = std::move(numbers);
  return place;
}

}  // namespace dalle1
