// The same product through OpenBLAS, for comparison.
#pragma once

#include <cstdint>

namespace dalle1::tools {

/// y [M, N] = x [M, K] w [N, K]^T
using BlasProduct = void (*)(int64_t m, int64_t n, int64_t k, const float* x, const float* w, float* y);

/// OpenBLAS on so many threads, or null in a build without it (-DDALLE1_BENCH_OPENBLAS=ON).
BlasProduct openblas_product(int threads);

}  // namespace dalle1::tools
