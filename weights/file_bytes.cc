#include "weights/file_bytes.h"

#include <bit>

#include "core/io/mapped_file.h"

namespace dalle1::weights {

static_assert(std::endian::native == std::endian::little, "checkpoint files are little-endian");

std::span<const std::byte> FileBytes::at(uint64_t offset, uint64_t size, std::string_view what) const {
  check(offset <= bytes.size() && size <= bytes.size() - offset, ErrorKind::model,
        "{}: {} needs {} bytes at byte {}, but the file has {} bytes; it is damaged or cut short", name, what,
        size, offset, bytes.size());
  return bytes.subspan(offset, size);
}

FileBytes map_file(const std::filesystem::path& path) {
  const auto file = std::make_shared<const MappedFile>(path, ErrorKind::model);
  return {path.string(), std::as_bytes(file->bytes()), file};
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
