#include "weights/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dalle1::weights {
int64_t checked_numel(const std::vector<int64_t>& shape) {
  int64_t numel = 1;
  for (int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(numel, extent, &numel)) return -1;
  return numel;
}

int64_t RawTensor::numel() const { return checked_numel(shape); }

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

const RawTensor* Checkpoint::find(std::string_view name) const {
  for (const RawTensor& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

int64_t Checkpoint::parameter_count() const {
  TensorIndex index(tensors);
  int64_t count = 0;
  for (const RawTensor& tensor : tensors)
    if (!index.is_scale_of_packed(tensor)) count += tensor.numel();
  return count;
}

uint64_t Checkpoint::byte_count() const {
  uint64_t count = 0;
  for (const RawTensor& tensor : tensors) count += tensor.bytes.size();
  return count;
}

TensorIndex::TensorIndex(const std::vector<RawTensor>& tensors) {
  tensors_.reserve(tensors.size());
  for (const RawTensor& tensor : tensors) tensors_.emplace(tensor.name, &tensor);
}

const RawTensor* TensorIndex::find(std::string_view name) const {
  auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

bool TensorIndex::is_scale_of_packed(const RawTensor& tensor) const {
  constexpr std::string_view suffix = ".scale";
  if (!tensor.name.ends_with(suffix)) return false;
  const RawTensor* packed = find(std::string_view(tensor.name).substr(0, tensor.name.size() - suffix.size()));
  return packed && packed->dtype == DType::i8;
}

}  // namespace dalle1::weights
