// Samples in order, read and decoded several at a time.
#pragma once

#include <omp.h>

#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "core/cpu/parallel.h"
#include "core/data/pair_reader.h"
#include "core/tensor/device.h"

namespace dalle1::tools {

/// For work beside the device's: a GPU's host has its processors free.
inline int host_threads(const Device& device) {
  return device.is_cpu() ? device.threads() : omp_get_num_procs();
}

/// body(0) ... body(count - 1) on all threads; throws what the first of them threw.
template <typename Body>
void on_threads(int threads, size_t count, const Body& body) {
  std::vector<std::exception_ptr> errors(count);
  cpu::parallel_tasks(threads, static_cast<int64_t>(count), [&](int64_t i) {
    try {
      body(static_cast<size_t>(i));
    } catch (...) {
      errors[static_cast<size_t>(i)] = std::current_exception();
    }
  });
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

/// The samples of a reader, of the source and the options that it was made with, a thread each.
class DecodedSamples {
 public:
  DecodedSamples(PairReader& reader, std::shared_ptr<const PairSource> pairs, PairReaderOptions options,
                 int threads);

  /// As reader.read(index), for rising indices.
  std::optional<Sample> read(uint64_t index);

 private:
  void decode(uint64_t begin);

  PairReader& reader_;
  PairReader ahead_;
  int threads_;
  uint64_t begin_ = 0;
  std::vector<std::optional<Sample>> samples_;
};

}  // namespace dalle1::tools
