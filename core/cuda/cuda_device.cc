#include "core/cuda/cuda_device.h"

#include "core/cuda/cuda_error.h"
#include "core/cuda/timed_kernels.h"

namespace dalle1 {
namespace {

using cuda::require;

constexpr int kOldestMajor = 8;  // the binary has code for compute capability 8.0 and up
constexpr int kFaultBits = 8;
// The driver takes a copy of so little before the call returns, without waiting for the GPU.
constexpr size_t kSmallUpload = size_t{64} << 10;

// Why device `index` cannot be used; empty when it can.
std::string obstacle(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    return fmt::format("no usable CUDA device: {}", cudaGetErrorString(status));
  }
  if (index < 0 || index >= count) return fmt::format("no CUDA device {}: this machine has {}", index, count);
  int major = 0;
  require(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index), "asking for a device");
  if (major < kOldestMajor)
    return fmt::format("CUDA device {} is of compute capability {}.x; {}.0 or newer is needed", index, major,
                       kOldestMajor);
  return "";
}

}  // namespace

CudaDevice::CudaDevice(int index) : index_(index) {
  require(cudaSetDevice(index), "choosing the device");
  require(cudaGetDeviceProperties(&properties_, index), "asking for the device's properties");
  require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  require(cudaHostAlloc(reinterpret_cast<void**>(&fault_), sizeof(uint64_t), cudaHostAllocMapped),
          "allocating pinned memory");
  *fault_ = 0;
  kernels_ = std::make_unique<TimedKernels>(*this);
}

CudaDevice::~CudaDevice() {
  cudaSetDevice(index_);
  cudaStreamSynchronize(stream_);
  kernels_.reset();  // gives its tensors back to the pool
  if (workspace_) pool_.give_back(workspace_);
  cudaFreeHost(fault_);
  cudaStreamDestroy(stream_);
}

Kernels& CudaDevice::kernels() { return *kernels_; }

std::string CudaDevice::describe() const {
  return fmt::format("cuda:{}: {}, compute capability {}.{}, {:.1f} of {:.1f} GiB free", index_,
                     properties_.name, properties_.major, properties_.minor,
                     static_cast<double>(available_memory()) / (1 << 30),
                     static_cast<double>(properties_.totalGlobalMem) / (1 << 30));
}

cudaStream_t CudaDevice::stream() const {
  require(cudaSetDevice(index_), "choosing the device");
  return stream_;
}

void* CudaDevice::allocate(size_t bytes) {
  stream();
  return pool_.take(bytes);
}

void CudaDevice::release(void* pointer, size_t) { pool_.give_back(pointer); }

size_t CudaDevice::available_memory() const {
  stream();
  size_t available = 0, total = 0;
  require(cudaMemGetInfo(&available, &total), "asking for free memory");
  return available + pool_.pooled();
}

void CudaDevice::copy_from_host(void* device_pointer, const void* host, size_t bytes) {
  if (bytes == 0) return;
  check_not_recording("a copy from the host");
  std::lock_guard lock(staging_mutex_);
  ++activity_.uploads;
  if (bytes <= kSmallUpload) {
    require(cudaMemcpyAsync(device_pointer, host, bytes, cudaMemcpyHostToDevice, stream()),
            "copying to the GPU");
  } else {
    staging_.upload(device_pointer, host, bytes, stream());
  }
}

void CudaDevice::copy_to_host(void* host, const void* device_pointer, size_t bytes) {
  if (bytes == 0) return;
  check_not_recording("a copy to the host");
  require(cudaMemcpyAsync(host, device_pointer, bytes, cudaMemcpyDeviceToHost, stream()),
          "copying from the GPU");
  ++activity_.downloads;
  synchronize();
}

void CudaDevice::copy(void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return;
  require(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream()),
          "copying on the GPU");
}

void CudaDevice::fill_zero(void* pointer, size_t bytes) {
  if (bytes == 0) return;
  require(cudaMemsetAsync(pointer, 0, bytes, stream()), "clearing memory");
}

void CudaDevice::check_not_recording(const char* what) const {
  check(!recording_, ErrorKind::internal, "{} within work that is recorded on the GPU", what);
}

void CudaDevice::begin_recording() {
  check_not_recording("recording");
  require(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "recording");
  pool_.keep_apart();
  recording_ = true;
}

std::vector<void*> CudaDevice::end_recording(cudaGraph_t* graph) {
  recording_ = false;
  std::vector<void*> kept = pool_.end_apart();
  const cudaError_t status = cudaStreamEndCapture(stream(), graph);
  if (status != cudaSuccess) {
    cudaGetLastError();
    pool_.return_kept(kept);
    require(status, "recording");
  }
  return kept;
}

void CudaDevice::synchronize() {
  check_not_recording("a wait");
  require(cudaStreamSynchronize(stream()), "running queued work");
  ++activity_.waits;
  report_fault();
}

void CudaDevice::report_fault() {
  const uint64_t word = *static_cast<volatile uint64_t*>(fault_);
  if (word == 0) return;
  *fault_ = 0;
  const auto value = static_cast<int64_t>(word) >> kFaultBits;
  const auto kind = static_cast<CudaFault>(word & ((1u << kFaultBits) - 1));
  if (kind == CudaFault::embedding_id)
    fail(ErrorKind::internal, "embedding: id {} is outside its table", value);
  if (kind == CudaFault::logit)
    fail(ErrorKind::model,
         "the transformer gave a logit that is not finite at image position {}, candidate {}", value >> 32,
         static_cast<uint32_t>(value));
  fail(ErrorKind::internal, "cross_entropy: target {} is outside its row of logits", value);
}

void* CudaDevice::workspace(size_t bytes) {
  if (bytes > workspace_bytes_) {
    if (workspace_) pool_.give_back(workspace_);
    workspace_ = nullptr;
    workspace_bytes_ = 0;
    workspace_ = allocate(bytes);
    workspace_bytes_ = bytes;
  }
  return workspace_;
}

CudaActivity CudaDevice::activity() const {
  CudaActivity activity = activity_;
  activity.driver_allocations = pool_.driver_allocations();
  return activity;
}

CudaActivity cuda_activity(const Device& device) {
  check(device.kind() == DeviceKind::cuda, ErrorKind::internal, "the activity of a device that is not CUDA");
  return static_cast<const CudaDevice&>(device).activity();
}

void start_profile(Device& device) { dynamic_cast<CudaDevice&>(device).timed().start(); }
std::vector<PartTime> end_profile(Device& device) { return dynamic_cast<CudaDevice&>(device).timed().end(); }

int cuda_device_count() {
  int count = 0;
  while (obstacle(count).empty()) ++count;
  return count;
}

std::shared_ptr<Device> make_cuda_device(int index) {
  const std::string reason = obstacle(index);
  check(reason.empty(), ErrorKind::device, "{}; use {} cpu", reason, OptionName{"device"});
  return std::make_shared<CudaDevice>(index);
}

}  // namespace dalle1
