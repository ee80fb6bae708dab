// A file mapped into memory, read-only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>

#include "core/error.h"

namespace dalle1 {

class MappedFile {
 public:
  MappedFile() = default;
  /// Error(kind) that names the file when it is missing, unreadable or not a regular file.
  explicit MappedFile(const std::filesystem::path& path, ErrorKind kind = ErrorKind::input);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace dalle1
