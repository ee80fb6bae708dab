// Driver and library status codes as Error(device).
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "core/error.h"

namespace dalle1::cuda {

inline void require(cudaError_t status, const char* what) {
  check(status == cudaSuccess, ErrorKind::device, "CUDA: {} failed: {}", what, cudaGetErrorString(status));
}

inline void require(cublasStatus_t status, const char* what) {
  check(status == CUBLAS_STATUS_SUCCESS, ErrorKind::device, "cuBLASLt: {} failed: {}", what,
        cublasLtGetStatusString(status));
}

/// After a launch: a wrong configuration shows at once; a fault while running shows at the next wait.
inline void launched(const char* kernel) { require(cudaPeekAtLastError(), kernel); }

}  // namespace dalle1::cuda
