// The bytes of a file, mapped or in memory, with a name for messages. Every reader of this folder takes one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace dalle1::weights {

struct FileBytes {
  std::string name;  ///< For messages: the path.
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  ///< Keeps `bytes` alive.

  size_t size() const { return bytes.size(); }

  /// `size` bytes at `offset`; Error(model) that names what was sought, the offset and the file's size.
  std::span<const std::byte> at(uint64_t offset, uint64_t size, std::string_view what) const;

  /// A little-endian integer at `offset`.
  template <typename T>
  T integer(uint64_t offset, std::string_view what) const {
    T value;
    std::memcpy(&value, at(offset, sizeof(T), what).data(), sizeof(T));
    return value;
  }
};

/// Maps a regular file read-only; Error(model) when it is missing, unreadable or not a regular file.
FileBytes map_file(const std::filesystem::path& path);

/// The same interface over a string.
FileBytes bytes_in_memory(std::string name, std::string content);

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads a small text file whole; Error(model) when it is larger than `limit`.
std::string read_text_file(const std::filesystem::path& path, uint64_t limit);

}  // namespace dalle1::weights
