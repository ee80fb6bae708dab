// A dense array on a device. Copies are cheap handles to the same storage; all tensors are contiguous.
#pragma once

#include <any>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/tensor/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace dalle1 {

/// Order of the elements of a [B, C, H, W] picture tensor in memory. `plain` is row-major and the only layout
/// of other tensors. Blocked layouts are [B, C/n, H, W, n] with C padded by zeros to a multiple of n
/// (oneDNN's nChw8c and nChw16c); channels_last is [B, H, W, C] (cuDNN).
enum class Layout : uint8_t { plain, blocked8, blocked16, channels_last };

int block_of(Layout layout);  ///< 8, 16, or 1.

class Tensor {
 public:
  Tensor() = default;

  static Tensor empty(Device& device, const Shape& shape, DType dtype = DType::f32,
                      Layout layout = Layout::plain);
  static Tensor zeros(Device& device, const Shape& shape, DType dtype = DType::f32);
  static Tensor full(Device& device, const Shape& shape, float value);
  /// Copies host values.
  static Tensor from(Device& device, const Shape& shape, std::span<const float> values);
  static Tensor from(Device& device, const Shape& shape, std::span<const int64_t> values);
  /// Memory that someone else owns (a mapped file), kept alive by `owner`.
  static Tensor wrap(Device& device, const Shape& shape, DType dtype, void* data,
                     std::shared_ptr<const void> owner);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl_->shape; }
  int64_t dim(int axis) const { return impl_->shape[axis]; }
  int rank() const { return impl_->shape.rank(); }
  int64_t numel() const { return impl_->shape.numel(); }
  DType dtype() const { return impl_->dtype; }
  Layout layout() const { return impl_->layout; }
  Device& device() const { return *impl_->storage->device; }
  Kernels& kernels() const { return device().kernels(); }
  /// Elements in memory: more than numel() where a blocked layout pads the channels.
  int64_t storage_numel() const;
  size_t bytes() const { return storage_numel() * size_of(dtype()); }
  /// Identity of the value on a tape; a view has its own.
  uint64_t id() const { return impl_->id; }

  /// Typed access on the CPU or to device memory; throws for another dtype or a blocked layout.
  template <typename T>
  T* data() const {
    require_plain();
    return stored<T>();
  }
  float* floats() const { return data<float>(); }
  /// The elements as they lie in memory, in whatever layout; throws for another dtype.
  template <typename T>
  T* stored() const {
    require_type(dtype_of<T>);
    return static_cast<T*>(raw());
  }
  /// For who moves bytes.
  void* raw() const { return static_cast<char*>(impl_->storage->pointer) + impl_->offset; }

  /// Same storage, other shape of the same numel (plain layout only). Not recorded on a tape: see
  /// ops::reshape.
  Tensor view(const Shape& shape) const;
  /// Same storage and shape under a new identity: what follows gets no gradient through it.
  Tensor detach() const;
  /// Rows [begin, end) of the first axis, sharing storage (plain layout only). Not recorded on a tape.
  Tensor rows(int64_t begin, int64_t end) const;

  /// Copy on another device or in another dtype (values rounded); the same tensor when nothing changes.
  Tensor to(Device& device) const;
  Tensor to(DType dtype) const;
  Tensor clone() const;

  std::vector<float> to_floats() const;  ///< Host copy of a floating tensor, plain order.
  std::vector<int64_t> to_ints() const;  ///< Host copy of an i64 tensor.
  float item() const;                    ///< The one value of a one-element tensor.

  /// Overwrites the contents with those of a tensor of the same shape and type on this device, and touches.
  void copy_from(const Tensor& values) const;
  /// Marks the contents as changed in place, so that what was prepared of them (packed weights) is made anew.
  void touch() const { impl_->storage->version.fetch_add(1, std::memory_order_relaxed); }
  uint64_t version() const { return impl_->storage->version.load(std::memory_order_relaxed); }

  /// use(T&) with what a backend prepared of these contents before (packed weights), which `use` may add to;
  /// a new T when there is none, or the contents have changed since. One thread at a time: others wait for
  /// what one makes.
  template <typename T, typename Use>
  auto with_prepared(const Use& use) const {
    Prepared& prepared = impl_->prepared;
    const std::lock_guard lock(prepared.mutex);
    if (prepared.version != version() || prepared.value.type() != typeid(T)) {
      prepared.value = T{};
      prepared.version = version();
    }
    return use(std::any_cast<T&>(prepared.value));
  }

 private:
  struct Storage {
    Device* device = nullptr;
    void* pointer = nullptr;
    size_t bytes = 0;
    std::shared_ptr<const void> owner;  // set: memory is not ours to release
    std::atomic<uint64_t> version{0};
    ~Storage();
  };
  struct Prepared {
    std::mutex mutex;
    std::any value;
    uint64_t version = 0;
  };
  struct Impl {
    std::shared_ptr<Storage> storage;
    size_t offset = 0;
    Shape shape;
    DType dtype = DType::f32;
    Layout layout = Layout::plain;
    uint64_t id = 0;
    Prepared prepared;
  };
  void require_plain() const;
  void require_type(DType dtype) const;
  Tensor alias(const Shape& shape, size_t offset) const;
  static Tensor make(std::shared_ptr<Storage> storage, size_t offset, const Shape& shape, DType dtype,
                     Layout layout);

  std::shared_ptr<Impl> impl_;
};

}  // namespace dalle1
