// OpenMP loops over contiguous chunks. Which thread runs a chunk never changes a result.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace dalle1::cpu {

/// Calls body(begin, end) over [0, n) in chunks of at least `grain`.
template <typename Body>
void parallel_for(int threads, int64_t n, int64_t grain, const Body& body) {
  const auto chunks = std::min<int64_t>(threads, n / std::max<int64_t>(grain, 1));
  if (chunks <= 1 || omp_in_parallel()) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(chunks))
  for (int64_t chunk = 0; chunk < chunks; ++chunk) body(n * chunk / chunks, n * (chunk + 1) / chunks);
}

/// Calls body(i) for each of `n` pieces of work of uneven cost, handed out in order.
template <typename Body>
void parallel_tasks(int threads, int64_t n, const Body& body) {
  const auto workers = static_cast<int>(std::min<int64_t>(threads, n));
  if (workers <= 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(workers)
  for (int64_t i = 0; i < n; ++i) body(i);
}

}  // namespace dalle1::cpu
