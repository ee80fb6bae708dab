#include "core/io/file_bytes.h"

#include <algorithm>
#include <span>

#include "core/io/input_file.h"

namespace dalle1 {

std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t limit) {
  const InputFile file(path);
  const uint64_t expected = file.size();
  check(expected <= limit, ErrorKind::input, "{}: {} bytes; at most {} are read", path.string(), expected,
        limit);
  // One byte more than expected, so that the end of the file is met without growing the buffer.
  std::vector<uint8_t> bytes(expected + 1);
  for (size_t filled = 0;;) {
    filled += file.read(std::span(bytes).subspan(filled), filled);
    check(filled <= limit, ErrorKind::input, "{}: more than {} bytes", path.string(), limit);
    const bool ended = filled < bytes.size();
    bytes.resize(ended ? filled : filled + std::max<size_t>(filled, 1 << 16));
    if (ended) return bytes;
  }
}

}  // namespace dalle1
