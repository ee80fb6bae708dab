#include "core/data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace dalle1 {

MappedFile::MappedFile(const std::filesystem::path& path, ErrorKind kind) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO would wait for its writer
  check(file >= 0, kind, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  const std::shared_ptr<void> closer(nullptr, [file](void*) { close(file); });
  struct stat status {};
  check(fstat(file, &status) == 0, kind, "{}: {}", path.string(), std::strerror(errno));
  check(S_ISREG(status.st_mode), kind, "{}: not a regular file", path.string());
  if (status.st_size == 0) return;
  const auto size = static_cast<size_t>(status.st_size);
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  check(memory != MAP_FAILED, kind, "{}: cannot be mapped: {}", path.string(), std::strerror(errno));
  bytes_ = {static_cast<const uint8_t*>(memory), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

}  // namespace dalle1
