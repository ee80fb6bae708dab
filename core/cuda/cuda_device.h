// One GPU: a stream in which all of its work is queued, a pool of memory, and the kernels.
#pragma once

#include <cuda_runtime.h>

#include <mutex>

#include "core/cuda/activity.h"
#include "core/cuda/block_pool.h"
#include "core/cuda/cuda_kernels.h"
#include "core/cuda/staging.h"

namespace dalle1 {

/// What a kernel found wrong with its input; the first byte of a fault word, with the value in the others.
enum class CudaFault : uint64_t { none = 0, embedding_id = 1, target = 2, logit = 3 };

class TimedKernels;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index);
  ~CudaDevice() override;

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string describe() const override;
  Kernels& kernels() override;
  TimedKernels& timed() { return *kernels_; }

  void* allocate(size_t bytes) override;
  void release(void* pointer, size_t bytes) override;
  size_t available_memory() const override;
  MemoryUse memory_use() const override { return pool_.use(); }
  void reset_peak() override { pool_.reset_peak(); }

  void copy_from_host(void* device_pointer, const void* host, size_t bytes) override;
  void copy_to_host(void* host, const void* device_pointer, size_t bytes) override;
  void copy(void* destination, const void* source, size_t bytes) override;
  void fill_zero(void* pointer, size_t bytes) override;
  /// Waits for all queued work; Error(internal) when a kernel found an id outside its table since the last
  /// wait.
  void synchronize() override;
  bool captures() const override { return true; }
  std::unique_ptr<Graph> capture(std::function<void()> work) override;

  /// Makes this the calling thread's current GPU.
  cudaStream_t stream() const;
  /// Scratch memory for one library call; the next call may overwrite it.
  void* workspace(size_t bytes);
  /// Between these two, work is recorded instead of done; waits and copies to or from the host are
  /// Error(internal). Gives the graph and the memory that it goes on using.
  void begin_recording();
  std::vector<void*> end_recording(cudaGraph_t* graph);
  void return_kept(const std::vector<void*>& blocks) { pool_.return_kept(blocks); }
  /// One word in host memory that kernels write what they find wrong to.
  uint64_t* fault_word() const { return fault_; }
  const cudaDeviceProp& properties() const { return properties_; }
  CudaActivity activity() const;

 private:
  void report_fault();
  void check_not_recording(const char* what) const;

  int index_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  uint64_t* fault_ = nullptr;
  cuda::BlockPool pool_;
  std::mutex staging_mutex_;
  cuda::Staging staging_;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
  CudaActivity activity_;
  bool recording_ = false;
  std::unique_ptr<TimedKernels> kernels_;
};

}  // namespace dalle1
