// What every fuzz target shares: only dalle1::Error may leave a reader, and memory stays bounded.
#pragma once

#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace dalle1::fuzz {

inline std::atomic<int64_t> live_bytes{0}, most_bytes{0};

inline void on_malloc(const volatile void*, size_t size) {
  int64_t now = live_bytes += static_cast<int64_t>(size);
  int64_t most = most_bytes;
  while (now > most && !most_bytes.compare_exchange_weak(most, now)) {
  }
}
inline void on_free(const volatile void* pointer) {
  if (pointer) live_bytes -= static_cast<int64_t>(__sanitizer_get_allocated_size(const_cast<void*>(pointer)));
}

/// Runs `read` over the input. A refusal must be one line of ErrorKind::model; anything else that is thrown
/// ends the run as a finding, and so does memory above twice the input's size plus 64 MB.
template <typename Read>
int run(const uint8_t* data, size_t size, Read&& read) {
  static const int hooks = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  if (hooks == 0) std::abort();
  std::string input(reinterpret_cast<const char*>(data), size);
  const int64_t before = live_bytes;
  most_bytes = before;
  try {
    read(std::move(input));
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.kind() != ErrorKind::model || message.empty() || message.find('\n') != message.npos) {
      std::fprintf(stderr, "a refusal of another kind: %s\n", message.c_str());
      std::abort();
    }
  }
  const int64_t used = most_bytes - before;
  if (used > static_cast<int64_t>(2 * size + (64u << 20))) {
    std::fprintf(stderr, "%lld bytes of memory for an input of %zu\n", static_cast<long long>(used), size);
    std::abort();
  }
  return 0;
}

}  // namespace dalle1::fuzz
