// A file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace dalle1 {

/// Writes under a temporary name in the same folder; commit() flushes to the disk, renames and flushes the
/// folder. A reader, or a machine that loses power, sees the old file or the new one and never a part.
/// Without commit() the temporary file is removed. Every failure is Error(output) that names the file and the
/// system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { write(bytes.data(), bytes.size()); }
  void write(std::string_view text) { write(text.data(), text.size()); }
  void write(const void* data, size_t size);

  void commit();  ///< Once, after the last write.

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }  ///< Bytes written so far.

 private:
  [[noreturn]] void fail_with_reason(std::string_view what) const;

  std::filesystem::path path_;
  std::string temporary_;
  int file_ = -1;
  uint64_t size_ = 0;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace dalle1
