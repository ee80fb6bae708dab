// The CPU: memory from a stock of aligned blocks.
#include <omp.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <mutex>

#include "core/cpu/bf16_product.h"
#include "core/cpu/block_stock.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/isa.h"
#include "core/cpu/parallel.h"
#include "core/tensor/device.h"

namespace dalle1 {
namespace {

using cpu::BlockStock;

constexpr size_t kAlignment = 64;

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "CPU";
}

size_t free_system_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("MemAvailable:", 0) == 0) return std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
  }
  return static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

class CpuDevice final : public Device {
 public:
  CpuDevice(int threads, bool poison) : threads_(threads), poison_(poison), kernels_(threads) {}
  ~CpuDevice() override {
    stock_.for_each([](void* block) { std::free(block); });
  }

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string describe() const override {
    return fmt::format("cpu: {} ({}), {} thread{}, {:.1f} GiB free", processor_name(), cpu::usable_isas(),
                       threads_, threads_ == 1 ? "" : "s",
                       static_cast<double>(available_memory()) / (1 << 30));
  }
  int threads() const override { return threads_; }
  bool multiplies_bf16() const override { return cpu::bf16_kernels() != nullptr; }
  Kernels& kernels() override { return kernels_; }

  void* allocate(size_t bytes) override {
    const size_t size = BlockStock::rounded(bytes);
    void* block = take_kept(size);
    if (!block) {
      if (size >= BlockStock::large_block * 64) require(size);
      block = std::aligned_alloc(kAlignment, size);
      check(block != nullptr, ErrorKind::memory, "out of memory: {} bytes needed, {} bytes available", size,
            available_memory());
    }
    if (poison_) std::memset(block, 0xff, size);  // NaN as f32, f16 and bf16
    return block;
  }

  void release(void* pointer, size_t bytes) override {
    const size_t size = BlockStock::rounded(bytes);
    std::lock_guard lock(mutex_);
    use_.in_use -= size;
    if (!stock_.keep(pointer, size)) std::free(pointer);
  }

  size_t available_memory() const override {
    std::lock_guard lock(mutex_);
    return free_system_memory() + stock_.bytes();
  }
  MemoryUse memory_use() const override {
    std::lock_guard lock(mutex_);
    return use_;
  }
  void reset_peak() override {
    std::lock_guard lock(mutex_);
    use_.peak = use_.in_use;
  }

  void copy_from_host(void* target, const void* host, size_t bytes) override { copy(target, host, bytes); }
  void copy_to_host(void* host, const void* source, size_t bytes) override { copy(host, source, bytes); }
  void copy(void* target, const void* source, size_t bytes) override {
    if (bytes) std::memcpy(target, source, bytes);
  }
  void fill_zero(void* pointer, size_t bytes) override { std::memset(pointer, 0, bytes); }

  void run_parallel(int n, const std::function<void(int)>& body) override {
    std::mutex mutex;
    std::exception_ptr error;  // none may leave an OpenMP region
    cpu::parallel_tasks(threads_, n, [&](int64_t i) {
      try {
        body(static_cast<int>(i));
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
  }

 private:
  void* take_kept(size_t size) {
    std::lock_guard lock(mutex_);
    use_.in_use += size;
    use_.peak = std::max(use_.peak, use_.in_use);
    return stock_.take(size);
  }

  // Linux grants memory it does not have; asking first turns a later kill into an error.
  void require(size_t size) {
    const size_t available = available_memory();
    if (size <= available) return;
    std::lock_guard lock(mutex_);
    use_.in_use -= size;
    fail(ErrorKind::memory, "not enough memory: {} bytes needed, {} bytes available", size, available);
  }

  int threads_;
  bool poison_;
  mutable std::mutex mutex_;
  BlockStock stock_;
  MemoryUse use_;
  CpuKernels kernels_;
};

}  // namespace

std::shared_ptr<Device> make_cpu_device(int threads, bool poison) {
  check(threads >= 0 && threads <= 1024, ErrorKind::usage, "{} threads; give 0 (automatic) to 1024", threads);
  cpu::limit_onednn();
  return std::make_shared<CpuDevice>(threads ? threads : available_processors(), poison);
}

std::shared_ptr<Device> make_device(std::string_view name, int threads) {
  if (name == "cpu") return make_cpu_device(threads);
  if (name == "auto") return cuda_device_count() > 0 ? make_cuda_device(0) : make_cpu_device(threads);
  if (name == "cuda") return make_cuda_device(0);
  if (name.starts_with("cuda:")) {
    int index = -1;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 5, end, index);
    if (error == std::errc() && stop == end && index >= 0) return make_cuda_device(index);
  }
  fail(ErrorKind::usage, "unknown device '{}'; use auto, cpu, cuda or cuda:N", name);
}

}  // namespace dalle1
