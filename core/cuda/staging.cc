#include "core/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "core/cuda/cuda_error.h"

namespace dalle1::cuda {

Staging::~Staging() {
  for (Buffer& buffer : buffers_) {
    if (buffer.sent) cudaEventDestroy(buffer.sent);
    if (buffer.memory) cudaFreeHost(buffer.memory);
  }
}

void Staging::make() {
  for (Buffer& buffer : buffers_) {
    require(cudaHostAlloc(&buffer.memory, kBytes, cudaHostAllocDefault), "allocating pinned memory");
    require(cudaEventCreateWithFlags(&buffer.sent, cudaEventDisableTiming), "making an event");
  }
}

void Staging::upload(void* target, const void* host, size_t bytes, cudaStream_t stream) {
  if (!buffers_[0].memory) make();
  for (size_t done = 0; done < bytes; done += kBytes) {
    const size_t part = std::min(kBytes, bytes - done);
    Buffer& buffer = buffers_[next_];
    next_ = 1 - next_;
    require(cudaEventSynchronize(buffer.sent), "waiting for an upload");
    std::memcpy(buffer.memory, static_cast<const char*>(host) + done, part);
    require(cudaMemcpyAsync(static_cast<char*>(target) + done, buffer.memory, part, cudaMemcpyHostToDevice,
                            stream),
            "copying to the GPU");
    require(cudaEventRecord(buffer.sent, stream), "recording an event");
  }
}

}  // namespace dalle1::cuda
