// A device that code takes for a GPU.
#pragma once

#include "core/tensor/device.h"

namespace dalle1::test {

/// The CPU under the name of a GPU: code then takes the GPU's ways, such as matrices in bf16.
class FakeGpu final : public Device {
 public:
  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string describe() const override { return "a GPU by name"; }
  Kernels& kernels() override { return cpu_->kernels(); }
  void* allocate(size_t bytes) override { return cpu_->allocate(bytes); }
  void release(void* pointer, size_t bytes) override { cpu_->release(pointer, bytes); }
  size_t available_memory() const override { return cpu_->available_memory(); }
  MemoryUse memory_use() const override { return cpu_->memory_use(); }
  void reset_peak() override { cpu_->reset_peak(); }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    cpu_->copy_from_host(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    cpu_->copy_to_host(to, from, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override { cpu_->copy(to, from, bytes); }
  void fill_zero(void* to, size_t bytes) override { cpu_->fill_zero(to, bytes); }

 private:
  std::shared_ptr<Device> cpu_ = make_cpu_device(1);
};

}  // namespace dalle1::test
