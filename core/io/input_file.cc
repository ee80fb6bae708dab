#include "core/io/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dalle1 {
namespace {

void check_regular(const struct stat& status, const std::filesystem::path& path, ErrorKind kind) {
  const mode_t mode = status.st_mode;
  check(!S_ISDIR(mode), kind, "{}: is a folder, not a regular file", path.string());
  const char* other = S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
  check(S_ISREG(mode), kind, "{}: is {}, not a regular file; put its content into a file and name that",
        path.string(), other);
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path, ErrorKind kind) : path_(path), kind_(kind) {
  struct stat status = {};
  // A statement of its own: arguments are evaluated in any order, errno's reading may come first.
  const bool found = stat(path.c_str(), &status) == 0;
  check(found, kind, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  check_regular(status, path, kind);
  // Should a pipe have taken the name meanwhile, opening it must not wait for a writer.
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  check(file_ >= 0, kind, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  try {
    const bool known = fstat(file_, &status) == 0;
    check(known, kind, "{}: {}", path.string(), std::strerror(errno));
    check_regular(status, path, kind);
  } catch (...) {
    close(file_);
    throw;
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { close(file_); }

size_t InputFile::read(std::span<uint8_t> bytes, uint64_t offset) const {
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got =
        pread(file_, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, kind_, "{}: cannot be read: {}", path_.string(), std::strerror(errno));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

}  // namespace dalle1
