#include "cuda_runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

struct EmulatedGraph {
  std::vector<std::function<void()>> work;
};
struct EmulatedStream {
  EmulatedGraph* recorded = nullptr;  // set while it records
};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;
};

// Saves the callee's registers on this stack and goes on with another; the rest of a fiber is its stack.
extern "C" void cuda_emulation_switch(void** from, void* to);
asm(R"(
.text
.globl cuda_emulation_switch
cuda_emulation_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");

namespace cuda_emulation {

dim3 thread_place, block_place, block_extent, grid_extent;

namespace {

constexpr int kWarp = 32, kMostThreads = 1024;
constexpr size_t kStack = size_t{256} << 10, kSharedMemory = size_t{227} << 10,
                 kPlainShared = size_t{48} << 10;
constexpr size_t kDeviceMemory = size_t{8} << 30;
constexpr unsigned kMostGrid = 65535;  // of the second and third axis

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "CUDA emulation: %s (block %u %u %u, thread %u %u)\n", what, block_place.x,
               block_place.y, block_place.z, thread_place.x, thread_place.y);
  std::abort();
}

enum class State { running, at_block_barrier, at_warp_barrier, done };

struct Fiber {
  char* stack = nullptr;
  void* registers = nullptr;
  State state = State::done;
  dim3 place;
};

struct Machine {
  std::vector<Fiber> fibers = std::vector<Fiber>(kMostThreads);
  int count = 0, current = 0;
  void* scheduler = nullptr;
  const std::function<void()>* thread = nullptr;
  // Two of each, used in turn: a thread may be one barrier ahead of the others, never two.
  bool any[2] = {};
  int turns[kMostThreads] = {};
  uint64_t exchanged[2][kMostThreads] = {};
  bool falling = false;
  alignas(128) char shared[kSharedMemory];
  std::map<const void*, int> shared_limits;
  cudaError_t error = cudaSuccess;
  size_t allocated = 0;
  std::map<void*, size_t> blocks;
};

Machine& machine() {
  static Machine the_machine;
  return the_machine;
}

void yield(State state) {
  Machine& m = machine();
  m.fibers[m.current].state = state;
  cuda_emulation_switch(&m.fibers[m.current].registers, m.scheduler);
}

void fiber_main() {
  (*machine().thread)();
  yield(State::done);
  stop("a finished thread went on");
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) {
    fiber.stack = static_cast<char*>(
        mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (fiber.stack == MAP_FAILED) stop("no memory for stacks");
  }
  constexpr int saved_registers = 6;
  auto* top = reinterpret_cast<void**>(fiber.stack + kStack) - 2;  // as after a call: 8 bytes off 16
  *top = reinterpret_cast<void*>(&fiber_main);
  fiber.registers = top - saved_registers;
  fiber.state = State::running;
}

// Lets a group of threads go on once all that live have arrived; with full masks a lane must not be missing.
void release(int begin, int end, State barrier) {
  Machine& m = machine();
  bool all = true, some = false, gone = false;
  for (int i = begin; i < end; ++i) {
    const State state = m.fibers[i].state;
    some = some || state == barrier;
    gone = gone || state == State::done;
    all = all && (state == barrier || state == State::done);
  }
  if (!some || !all) return;
  if (barrier == State::at_warp_barrier && gone) stop("a warp function without some of its lanes");
  for (int i = begin; i < end; ++i)
    if (m.fibers[i].state == barrier) m.fibers[i].state = State::running;
}

void run_block() {
  Machine& m = machine();
  while (true) {
    bool ran = false, alive = false;
    for (int i = 0; i < m.count; ++i) {
      m.current = m.falling ? m.count - 1 - i : i;
      Fiber& fiber = m.fibers[m.current];
      if (fiber.state != State::running) continue;
      thread_place = fiber.place;
      cuda_emulation_switch(&m.scheduler, fiber.registers);
      ran = true;
    }
    for (int i = 0; i < m.count; ++i) alive = alive || m.fibers[i].state != State::done;
    if (!alive) return;
    if (!ran) stop("threads wait for each other at different barriers");
    for (int warp = 0; warp < m.count; warp += kWarp)
      release(warp, std::min(warp + kWarp, m.count), State::at_warp_barrier);
    release(0, m.count, State::at_block_barrier);
  }
}

void run_grid(const Launch& launch, const std::function<void()>& thread) {
  Machine& m = machine();
  m.thread = &thread;
  m.count = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  m.falling = !m.falling;
  block_extent = launch.block;
  grid_extent = launch.grid;
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        block_place = {x, y, z};
        std::memset(m.shared, 0xff, launch.shared_bytes);
        for (int i = 0; i < m.count; ++i) {
          const auto at = static_cast<unsigned>(i);
          m.fibers[i].place = {at % launch.block.x, at / launch.block.x % launch.block.y,
                               at / launch.block.x / launch.block.y};
          m.turns[i] = 0;
          prepare(m.fibers[i]);
        }
        m.any[0] = m.any[1] = false;
        run_block();
      }
}

bool fits(const Launch& launch, const void* key) {
  const Machine& m = machine();
  const auto limit = m.shared_limits.find(key);
  const size_t shared = limit == m.shared_limits.end() ? kPlainShared : limit->second;
  const uint64_t threads = uint64_t{launch.block.x} * launch.block.y * launch.block.z;
  return threads > 0 && threads <= kMostThreads && launch.grid.x > 0 && launch.grid.x <= INT32_MAX &&
         launch.grid.y > 0 && launch.grid.y <= kMostGrid && launch.grid.z > 0 && launch.grid.z <= kMostGrid &&
         launch.shared_bytes <= std::max(shared, kPlainShared);
}

}  // namespace

void run(const Launch& launch, const void* key, std::function<void()> thread) {
  if (!fits(launch, key)) {
    machine().error = cudaErrorInvalidConfiguration;
    return;
  }
  enqueue(launch.stream, [launch, thread = std::move(thread)] { run_grid(launch, thread); });
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  if (stream && stream->recorded) {
    stream->recorded->work.push_back(std::move(work));
  } else {
    work();
  }
  return cudaSuccess;
}

cudaError_t allow_shared_memory(const void* key, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > kSharedMemory) return cudaErrorInvalidValue;
  machine().shared_limits[key] = bytes;
  return cudaSuccess;
}

char* dynamic_shared_memory() { return machine().shared; }
int lane() { return machine().current % kWarp; }
void block_barrier() { yield(State::at_block_barrier); }
void warp_barrier() { yield(State::at_warp_barrier); }

bool block_barrier_or(bool value) {
  Machine& m = machine();
  const int turn = m.turns[m.current]++ % 2;
  m.any[turn] = m.any[turn] || value;
  block_barrier();
  const bool result = m.any[turn];
  block_barrier();
  m.any[turn] = false;
  return result;
}

uint64_t exchange(uint64_t value, int from) {
  Machine& m = machine();
  const int self = m.current, turn = m.turns[self]++ % 2;
  m.exchanged[turn][self] = value;
  warp_barrier();
  return m.exchanged[turn][self / kWarp * kWarp + from];
}

}  // namespace cuda_emulation

using cuda_emulation::enqueue;
using cuda_emulation::machine;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) { return index == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  *properties = {"emulated", 9, 0, 4, cuda_emulation::kDeviceMemory, cuda_emulation::kSharedMemory};
  return cudaSetDevice(index);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int index) {
  *value = 9;
  return cudaSetDevice(index);
}
cudaError_t cudaPeekAtLastError() { return machine().error; }
cudaError_t cudaGetLastError() { return std::exchange(machine().error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  static const char* names[] = {"no error",
                                "invalid argument",
                                "out of memory",
                                "invalid configuration argument",
                                "invalid device ordinal",
                                "operation not permitted when stream is capturing"};
  return names[error];
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  auto& m = machine();
  if (m.allocated + bytes > cuda_emulation::kDeviceMemory) return m.error = cudaErrorMemoryAllocation;
  if (posix_memalign(pointer, 256, bytes) != 0) return m.error = cudaErrorMemoryAllocation;
  std::memset(*pointer, 0xff, bytes);  // NaN: what is read before it is written shows
  m.blocks[*pointer] = bytes;
  m.allocated += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* pointer) {
  auto& m = machine();
  m.allocated -= m.blocks.at(pointer);
  m.blocks.erase(pointer);
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  *pointer = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = cuda_emulation::kDeviceMemory;
  *available = *total - machine().allocated;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream->recorded ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  // A recorded copy would read or write host memory that is gone by the time it is replayed.
  if (stream->recorded && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  return enqueue(stream, [=] { std::memmove(target, source, bytes); });
}
cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  return enqueue(stream, [=] { std::memset(target, value, bytes); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return enqueue(stream, [=] { event->time = std::chrono::steady_clock::now(); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->recorded = new EmulatedGraph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->recorded, nullptr);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new EmulatedGraph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  for (const auto& work : executable->work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
