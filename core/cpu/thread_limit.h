#pragma once

#include <omp.h>

namespace dalle1::cpu {

/// OpenMP's default number of threads, while it lives. oneDNN has no setting of its own: it asks OpenMP, both
/// when a primitive is made and when it runs.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadLimit() { omp_set_num_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_;
};

}  // namespace dalle1::cpu
