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
///
/// What has the name already:
///  * A regular file is replaced by a new one with the permissions of the umask, whatever its own were; other
///    hard links to it keep the old content.
///  * A symbolic link stays one: the file that it names is replaced, or made where there is none.
///  * A named pipe or a character device (/dev/stdout, /dev/null) stays what it is. The bytes go into it as
///    they are written, so that its reader sees a part when the program fails. Opening a pipe waits for its
///    reader, as every program does; a signal ends that.
///  * Folders, sockets and block devices are refused.
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
  void make_temporary();
  void move_into_place();
  [[noreturn]] void fail_with_reason(std::string_view what) const;

  std::filesystem::path path_;
  std::filesystem::path target_;  // what path_ names through links
  std::string temporary_;         // empty: the bytes go straight into a pipe or device
  int file_ = -1;
  uint64_t size_ = 0;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace dalle1
