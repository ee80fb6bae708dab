// A file that is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "core/error.h"

namespace dalle1 {

/// A regular file, open for reading. Pipes, devices and sockets are refused at once, whether or not something
/// waits at their other end: files are read more than once here, and their sizes are known before.
class InputFile {
 public:
  /// Error(kind) that names the file when it is missing, unreadable or not a regular file.
  explicit InputFile(const std::filesystem::path& path, ErrorKind kind = ErrorKind::input);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return file_; }
  /// Bytes when it was opened; 0 for the files of /proc, which have content.
  uint64_t size() const { return size_; }

  /// Reads at `offset` until `bytes` is full or the file ends, and returns how many were read.
  size_t read(std::span<uint8_t> bytes, uint64_t offset) const;

 private:
  std::filesystem::path path_;
  ErrorKind kind_;
  int file_ = -1;
  uint64_t size_ = 0;
};

}  // namespace dalle1
