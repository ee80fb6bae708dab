#include "core/data/no_data.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/file_kind.h"

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

// The kinds of file_kind() that captions and shards are, a damaged shard among them.
constexpr std::string_view kData[] = {"text", "blank", "JSON text", "an empty file", "a tar archive"};

}  // namespace

void refuse_no_data(std::span<const uint8_t> first_bytes, std::string_view name) {
  const std::string_view bytes(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
  for (const Compression& known : kCompressions)
    check(!bytes.starts_with(known.magic), ErrorKind::input, "{}: compressed with {}; {} it", name,
          known.name, known.command);
  const std::string_view kind = file_kind(first_bytes);
  const auto holds = [kind](std::string_view each) { return kind.starts_with(each); };
  const bool data = kind.empty() || std::any_of(std::begin(kData), std::end(kData), holds);
  check(data, ErrorKind::input, "{}: no data, but {}", name, kind);
}

}  // namespace dalle1
