#include "weights/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

namespace dalle1::weights {

static_assert(std::endian::native == std::endian::little, "checkpoint files are little-endian");

std::span<const std::byte> FileBytes::at(uint64_t offset, uint64_t size, std::string_view what) const {
  check(offset <= bytes.size() && size <= bytes.size() - offset, ErrorKind::model,
        "{}: {} needs {} bytes at byte {}, but the file has {} bytes; it is damaged or cut short", name, what,
        size, offset, bytes.size());
  return bytes.subspan(offset, size);
}

FileBytes map_file(const std::filesystem::path& path) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(file >= 0, ErrorKind::model, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::shared_ptr<void> closer(nullptr, [file](void*) { close(file); });
  struct stat status;
  check(fstat(file, &status) == 0, ErrorKind::model, "{}: {}", path.string(), std::strerror(errno));
  check(S_ISREG(status.st_mode), ErrorKind::model, "{}: not a regular file", path.string());
  auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {path.string(), {}, nullptr};
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  check(memory != MAP_FAILED, ErrorKind::model, "{}: cannot be mapped: {}", path.string(),
        std::strerror(errno));
  std::shared_ptr<const void> owner(memory, [size](const void* p) { munmap(const_cast<void*>(p), size); });
  return {path.string(), {static_cast<const std::byte*>(memory), size}, std::move(owner)};
}

FileBytes bytes_in_memory(std::string name, std::string content) {
  auto owner = std::make_shared<const std::string>(std::move(content));
  return {std::move(name), std::as_bytes(std::span(*owner)), owner};
}

std::string read_text_file(const std::filesystem::path& path, uint64_t limit) {
  FileBytes file = map_file(path);
  check(file.size() <= limit, ErrorKind::model, "{}: {} bytes, but such a file has at most {}", file.name,
        file.size(), limit);
  return std::string(text_of(file.bytes));
}

}  // namespace dalle1::weights
