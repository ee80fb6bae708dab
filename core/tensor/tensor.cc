#include "core/tensor/tensor.h"

#include <cstring>

namespace dalle1 {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> counter{0};
  return ++counter;
}

int64_t padded_numel(const Shape& shape, Layout layout) {
  const int block = block_of(layout);
  if (block == 1) return shape.numel();
  return shape[0] * ((shape[1] + block - 1) / block * block) * shape[2] * shape[3];
}

template <typename From, typename To, typename Convert>
void convert_all(const void* source, void* target, int64_t n, Convert convert) {
  const From* x = static_cast<const From*>(source);
  To* y = static_cast<To*>(target);
  for (int64_t i = 0; i < n; ++i) y[i] = convert(x[i]);
}

}  // namespace

int block_of(Layout layout) { return layout == Layout::blocked8 ? 8 : layout == Layout::blocked16 ? 16 : 1; }

Tensor::Storage::~Storage() {
  if (!owner && pointer) device->release(pointer, bytes);
}

Tensor Tensor::make(std::shared_ptr<Storage> storage, size_t offset, const Shape& shape, DType dtype,
                    Layout layout) {
  Tensor tensor;
  tensor.impl_ = std::make_shared<Impl>();
  tensor.impl_->storage = std::move(storage);
  tensor.impl_->offset = offset;
  tensor.impl_->shape = shape;
  tensor.impl_->dtype = dtype;
  tensor.impl_->layout = layout;
  tensor.impl_->id = next_id();
  return tensor;
}

Tensor Tensor::empty(Device& device, const Shape& shape, DType dtype, Layout layout) {
  check(layout == Layout::plain || shape.rank() == 4, ErrorKind::internal,
        "a blocked tensor needs 4 axes, not {}", shape);
  auto storage = std::make_shared<Storage>();
  storage->device = &device;
  storage->bytes = padded_numel(shape, layout) * size_of(dtype);
  storage->pointer = device.allocate(storage->bytes);
  return make(std::move(storage), 0, shape, dtype, layout);
}

Tensor Tensor::zeros(Device& device, const Shape& shape, DType dtype) {
  Tensor tensor = empty(device, shape, dtype);
  device.fill_zero(tensor.raw(), tensor.bytes());
  return tensor;
}

Tensor Tensor::full(Device& device, const Shape& shape, float value) {
  return from(device, shape, std::vector<float>(shape.numel(), value));
}

Tensor Tensor::from(Device& device, const Shape& shape, std::span<const float> values) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), ErrorKind::internal,
        "{} values do not fill a tensor of {}", values.size(), shape);
  Tensor tensor = empty(device, shape, DType::f32);
  device.copy_from_host(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

Tensor Tensor::from(Device& device, const Shape& shape, std::span<const int64_t> values) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), ErrorKind::internal,
        "{} values do not fill a tensor of {}", values.size(), shape);
  Tensor tensor = empty(device, shape, DType::i64);
  device.copy_from_host(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

Tensor Tensor::wrap(Device& device, const Shape& shape, DType dtype, void* data,
                    std::shared_ptr<const void> owner) {
  check(owner != nullptr, ErrorKind::internal, "wrapped memory needs an owner");
  auto storage = std::make_shared<Storage>();
  storage->device = &device;
  storage->pointer = data;
  storage->bytes = shape.numel() * size_of(dtype);
  storage->owner = std::move(owner);
  return make(std::move(storage), 0, shape, dtype, Layout::plain);
}

int64_t Tensor::storage_numel() const { return padded_numel(shape(), layout()); }

void Tensor::require_plain() const {
  check(defined(), ErrorKind::internal, "access to an empty tensor");
  check(layout() == Layout::plain, ErrorKind::internal, "plain access to a blocked tensor of {}", shape());
}

void Tensor::require_type(DType dtype) const {
  check(defined(), ErrorKind::internal, "access to an empty tensor");
  check(this->dtype() == dtype, ErrorKind::internal, "a tensor of {} is {}, asked for {}", shape(),
        name_of(this->dtype()), name_of(dtype));
}

Tensor Tensor::alias(const Shape& shape, size_t offset) const {
  return make(impl_->storage, offset, shape, dtype(), layout());
}

Tensor Tensor::view(const Shape& shape) const {
  check(layout() == Layout::plain, ErrorKind::internal, "view of a blocked tensor of {}", this->shape());
  check(shape.numel() == numel(), ErrorKind::internal, "cannot view {} as {}", this->shape(), shape);
  return alias(shape, impl_->offset);
}

Tensor Tensor::detach() const { return alias(shape(), impl_->offset); }

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(layout() == Layout::plain && rank() > 0 && 0 <= begin && begin <= end && end <= dim(0),
        ErrorKind::internal, "rows {} to {} of {}", begin, end, shape());
  Shape part = shape();
  part[0] = end - begin;
  const int64_t row = dim(0) ? numel() / dim(0) : 0;
  return alias(part, impl_->offset + begin * row * size_of(dtype()));
}

Tensor Tensor::to(Device& target) const {
  if (&target == &device()) return *this;
  Tensor copy = empty(target, shape(), dtype(), layout());
  if (device().is_cpu()) {
    target.copy_from_host(copy.raw(), raw(), bytes());
  } else {
    check(target.is_cpu(), ErrorKind::internal, "copies between two GPUs go through the host");
    device().copy_to_host(copy.raw(), raw(), bytes());
  }
  return copy;
}

Tensor Tensor::clone() const {
  Tensor copy = empty(device(), shape(), dtype(), layout());
  device().copy(copy.raw(), raw(), bytes());
  return copy;
}

void Tensor::copy_from(const Tensor& values) const {
  check(values.shape() == shape() && values.dtype() == dtype() && values.layout() == layout() &&
            &values.device() == &device(),
        ErrorKind::internal, "a tensor of {} {} takes the values of one of {} {}", name_of(dtype()), shape(),
        name_of(values.dtype()), values.shape());
  device().copy(raw(), values.raw(), bytes());
  touch();
}

std::vector<float> Tensor::to_floats() const {
  check(layout() == Layout::plain, ErrorKind::internal, "host copy of a blocked tensor of {}", shape());
  std::vector<char> raw_bytes(bytes());
  device().copy_to_host(raw_bytes.data(), raw(), bytes());
  std::vector<float> values(numel());
  switch (dtype()) {
    case DType::f32:
      std::memcpy(values.data(), raw_bytes.data(), bytes());
      break;
    case DType::f16:
      convert_all<uint16_t, float>(raw_bytes.data(), values.data(), numel(), f16_to_f32);
      break;
    case DType::bf16:
      convert_all<uint16_t, float>(raw_bytes.data(), values.data(), numel(), bf16_to_f32);
      break;
    default:
      fail(ErrorKind::internal, "to_floats of a tensor of {}", name_of(dtype()));
  }
  return values;
}

std::vector<int64_t> Tensor::to_ints() const {
  check(dtype() == DType::i64, ErrorKind::internal, "to_ints of a tensor of {}", name_of(dtype()));
  std::vector<int64_t> values(numel());
  device().copy_to_host(values.data(), raw(), bytes());
  return values;
}

float Tensor::item() const {
  check(numel() == 1, ErrorKind::internal, "item() of a tensor of {}", shape());
  return to_floats()[0];
}

}  // namespace dalle1
