// Where tensors live and ops run. A device is an explicit object that owns its memory pool, handles and
// kernels; several can exist side by side, and nothing about it is global.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace dalle1 {

class Kernels;

enum class DeviceKind { cpu, cuda };

struct MemoryUse {
  size_t in_use = 0;  ///< Bytes held by live tensors.
  size_t peak = 0;    ///< Most bytes held at once since the device was made or reset_peak() was called.
};

/// Work that is done many times on the same memory; see Device::capture.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual DeviceKind kind() const = 0;
  virtual std::string describe() const = 0;  ///< One line: name, memory, threads or architecture.
  virtual int threads() const { return 1; }
  virtual Kernels& kernels() = 0;

  /// 64-byte aligned memory of at least `bytes`; Error(memory) with the bytes needed and available.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* pointer, size_t bytes) = 0;
  virtual size_t available_memory() const = 0;
  virtual MemoryUse memory_use() const = 0;
  virtual void reset_peak() = 0;

  virtual void copy_from_host(void* device_pointer, const void* host, size_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* device_pointer, size_t bytes) = 0;
  virtual void copy(void* destination, const void* source, size_t bytes) = 0;
  virtual void fill_zero(void* pointer, size_t bytes) = 0;
  virtual void synchronize() {}

  /// body(0) ... body(n - 1), which share nothing that they write. A CPU of more than one thread gives each a
  /// thread of its own, which then does all operations in it alone; others take them in turn. Throws the
  /// first error once all have ended.
  virtual void run_parallel(int n, const std::function<void(int)>& body);
  /// Whether capture() records what the work does first and replays it. Then what changes from one launch to
  /// the next must lie in device memory.
  virtual bool captures() const { return false; }
  virtual std::unique_ptr<Graph> capture(std::function<void()> work);

  /// Whether products run in bf16: always on a GPU, on a CPU that has AVX512-BF16 or AMX.
  virtual bool multiplies_bf16() const { return !is_cpu(); }
  bool is_cpu() const { return kind() == DeviceKind::cpu; }

 protected:
  Device() = default;
};

/// The CPU with `threads` OpenMP threads (0: one per available processor).
/// With `poison`, fresh memory is filled with NaN, so that a kernel that leaves an output unwritten is
/// caught.
std::shared_ptr<Device> make_cpu_device(int threads = 0, bool poison = false);

/// GPU number `index`; Error(device) when there is none or this build has no CUDA backend.
std::shared_ptr<Device> make_cuda_device(int index = 0);

/// Usable CUDA devices; 0 in a build without the backend.
int cuda_device_count();

/// "cpu", "cuda", "cuda:1" or "auto" (cuda when usable, else cpu); Error(usage) for another name.
std::shared_ptr<Device> make_device(std::string_view name, int threads = 0);

}  // namespace dalle1
