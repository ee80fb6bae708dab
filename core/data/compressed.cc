#include "core/data/compressed.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1 {
namespace {

struct Compression {
  std::string_view magic, name, command;
};
constexpr Compression kCompressions[] = {{"\x1f\x8b", "gzip", "gunzip"},
                                         {"\x28\xb5\x2f\xfd", "Zstandard", "unzstd"},
                                         {"BZh", "bzip2", "bunzip2"},
                                         {"\xfd\x37zXZ", "xz", "unxz"},
                                         {"\x04\x22\x4d\x18", "LZ4", "unlz4"}};

}  // namespace

void refuse_compressed(std::span<const uint8_t> first_bytes, std::string_view name) {
  const std::string_view bytes(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
  for (const Compression& known : kCompressions)
    check(!bytes.starts_with(known.magic), ErrorKind::input, "{}: compressed with {}; {} it", name,
          known.name, known.command);
}

}  // namespace dalle1
