#include "tools/bench/bench_blas.h"

#ifdef DALLE1_BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace dalle1::tools {

BlasProduct openblas_product([[maybe_unused]] int threads) {
#ifdef DALLE1_BENCH_OPENBLAS
  openblas_set_num_threads(threads);
  return [](int64_t m, int64_t n, int64_t k, const float* x, const float* w, float* y) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(m), static_cast<int>(n),
                static_cast<int>(k), 1.0f, x, static_cast<int>(k), w, static_cast<int>(k), 0.0f, y,
                static_cast<int>(n));
  };
#else
  return nullptr;
#endif
}

}  // namespace dalle1::tools
