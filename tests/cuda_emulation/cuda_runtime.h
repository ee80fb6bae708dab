// CUDA's runtime for machines without a GPU: kernels run on the CPU, one fiber per thread, block after block.
//
// It exists to test the logic of kernels: their indices, barriers, warp functions, launch limits, shared
// memory and recorded graphs, under the address sanitizer if wanted. It says nothing about speed. Threads run
// in rising order in one launch and in falling order in the next, so work that lacks a barrier gives
// different bits when repeated.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

enum cudaError_t {
  cudaSuccess,
  cudaErrorInvalidValue,
  cudaErrorMemoryAllocation,
  cudaErrorInvalidConfiguration,
  cudaErrorInvalidDevice,
  cudaErrorStreamCaptureUnsupported
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocMapped = 2, cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;

struct cudaDeviceProp {
  char name[64];
  int major, minor, multiProcessorCount;
  size_t totalGlobalMem, sharedMemPerBlockOptin;
};

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraph*;

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int index);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaMalloc(void** pointer, size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaMemGetInfo(size_t* available, size_t* total);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

namespace cuda_emulation {

struct Launch {
  dim3 grid, block;
  size_t shared_bytes;
  cudaStream_t stream;
  Launch(dim3 grid, dim3 block, size_t shared_bytes = 0, cudaStream_t stream = nullptr)
      : grid(grid), block(block), shared_bytes(shared_bytes), stream(stream) {}
};

/// Runs `thread` once per thread of every block, or records it. `key` names the kernel.
void run(const Launch& launch, const void* key, std::function<void()> thread);
/// Queues anything else: done at once or, while the stream records, at each replay.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
cudaError_t allow_shared_memory(const void* key, int bytes);
char* dynamic_shared_memory();

/// `<<<...>>>` of a kernel without dynamic shared memory; `call` passes its arguments on.
template <typename Call, typename... Arguments>
void launch(const Launch& launch, Call call, Arguments&&... arguments) {
  std::tuple<std::decay_t<Arguments>...> values(std::forward<Arguments>(arguments)...);
  run(launch, nullptr, [call, values] { std::apply(call, values); });
}

/// The same with dynamic shared memory, the limit of which belongs to the kernel.
template <auto kernel, typename... Arguments>
void launch(const Launch& launch, Arguments&&... arguments) {
  std::tuple<std::decay_t<Arguments>...> values(std::forward<Arguments>(arguments)...);
  run(launch, reinterpret_cast<const void*>(kernel), [values] { std::apply(kernel, values); });
}

extern dim3 thread_place, block_place, block_extent, grid_extent;
void block_barrier();
bool block_barrier_or(bool value);
void warp_barrier();
/// What lane `lane` of this warp gives; every lane of the warp takes part.
uint64_t exchange(uint64_t value, int lane);
int lane();

template <typename T>
T shuffle(T value, int from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, from);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace cuda_emulation

#define threadIdx cuda_emulation::thread_place
#define blockIdx cuda_emulation::block_place
#define blockDim cuda_emulation::block_extent
#define gridDim cuda_emulation::grid_extent

inline void __syncthreads() { cuda_emulation::block_barrier(); }
inline int __syncthreads_or(int value) { return cuda_emulation::block_barrier_or(value != 0); }
inline void __syncwarp() { cuda_emulation::warp_barrier(); }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return cuda_emulation::shuffle(value, cuda_emulation::lane() ^ mask);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, int delta) {
  const int from = cuda_emulation::lane() - delta;
  return cuda_emulation::shuffle(value, from < 0 ? cuda_emulation::lane() : from);
}
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline int atomicAdd(int* place, int value) {
  const int before = *place;
  *place += value;
  return before;
}

template <typename A, typename B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <typename A, typename B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
using std::isfinite;

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int bytes) {
  return cuda_emulation::allow_shared_memory(reinterpret_cast<const void*>(kernel), bytes);
}
