#include "core/io/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "core/io/input_file.h"

namespace dalle1 {

MappedFile::MappedFile(const std::filesystem::path& path, ErrorKind kind) {
  const InputFile file(path, kind);
  if (file.size() == 0) return;
  void* memory = mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  check(memory != MAP_FAILED, kind, "{}: cannot be mapped: {}", path.string(), std::strerror(errno));
  bytes_ = {static_cast<const uint8_t*>(memory), file.size()};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

}  // namespace dalle1
