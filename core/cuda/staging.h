// Uploads of any size through two pinned buffers: while one is on its way to the GPU the next part is copied
// from the host (a mapped file, say) into the other.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace dalle1::cuda {

class Staging {
 public:
  Staging() = default;
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Returns when the host memory has been read; the copy itself is queued in the stream.
  void upload(void* target, const void* host, size_t bytes, cudaStream_t stream);

 private:
  struct Buffer {
    void* memory = nullptr;
    cudaEvent_t sent = nullptr;  ///< After the last upload from this buffer.
  };
  void make();

  static constexpr size_t kBytes = size_t{16} << 20;
  Buffer buffers_[2];
  int next_ = 0;
};

}  // namespace dalle1::cuda
