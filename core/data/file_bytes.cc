#include "core/data/file_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace dalle1 {
namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace

std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t limit) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(file.number >= 0, ErrorKind::input, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat status {};
  check(fstat(file.number, &status) == 0, ErrorKind::input, "{}: {}", path.string(), std::strerror(errno));
  check(!S_ISDIR(status.st_mode), ErrorKind::input, "{}: is a folder, not a file", path.string());
  const auto expected = static_cast<uint64_t>(status.st_size);
  check(expected <= limit, ErrorKind::input, "{}: {} bytes; at most {} are read", path.string(), expected,
        limit);

  // One byte more than expected, so that the end of the file is met without growing the buffer.
  std::vector<uint8_t> bytes(expected + 1);
  size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) bytes.resize(bytes.size() + std::max<size_t>(bytes.size(), 1 << 16));
    const ssize_t got = read(file.number, bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ErrorKind::input, "{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
    check(filled <= limit, ErrorKind::input, "{}: more than {} bytes", path.string(), limit);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace dalle1
