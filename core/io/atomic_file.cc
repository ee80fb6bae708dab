#include "core/io/atomic_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace dalle1 {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// mkstemp ignores the umask and makes files private. Only setting the umask tells it: done once, so that no
// two threads do it at the same time.
mode_t default_mode() {
  static const mode_t mask = [] {
    const mode_t before = umask(0);
    umask(before);
    return before;
  }();
  return 0666 & ~mask;
}

// Where the links end that begin at `path`; there need be nothing. stat() has ruled out circles.
std::filesystem::path end_of_links(std::filesystem::path path) {
  std::error_code none;
  while (std::filesystem::is_symlink(std::filesystem::symlink_status(path, none)))
    path = folder_of(path) / std::filesystem::read_symlink(path, none);
  return path;
}

bool takes_bytes_as_they_come(const struct stat& status) {
  return S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode);
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status = {};
  const bool exists = stat(path_.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) fail_with_reason("cannot be created");
  if (exists && takes_bytes_as_they_come(status)) {
    file_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (file_ < 0) fail_with_reason("cannot be opened");
    return;
  }
  check(!exists || !S_ISDIR(status.st_mode), ErrorKind::output, "{} is a folder; name a file",
        path_.string());
  check(!exists || S_ISREG(status.st_mode), ErrorKind::output,
        "{} is a socket or block device, which cannot be written as a file", path_.string());
  target_ = end_of_links(path_);
  make_temporary();
}

void AtomicFile::make_temporary() {
  constexpr std::string_view begin = ".", end = ".XXXXXX";
  const auto name = target_.filename().string().substr(0, NAME_MAX - begin.size() - end.size());
  temporary_ = (folder_of(target_) / fmt::format("{}{}{}", begin, name, end)).string();
  file_ = mkstemp(temporary_.data());
  if (file_ < 0) fail_with_reason("cannot be created");
  if (fchmod(file_, default_mode()) != 0) {
    int reason = errno;
    close(file_);
    unlink(temporary_.c_str());
    errno = reason;
    fail_with_reason("cannot be given its permissions");
  }
}

AtomicFile::~AtomicFile() {
  if (file_ < 0) return;
  close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  check(file_ >= 0, ErrorKind::internal, "{}: written to after commit", path_.string());
  auto* next = static_cast<const char*>(data);
  for (size_t left = size; left > 0;) {
    // Linux takes at most 2 GiB a call.
    ssize_t done = ::write(file_, next, std::min<size_t>(left, size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_with_reason("cannot be written");
    next += done;
    left -= static_cast<size_t>(done);
  }
  size_ += size;
}

void AtomicFile::commit() {
  check(file_ >= 0, ErrorKind::internal, "{}: committed twice", path_.string());
  if (!temporary_.empty()) move_into_place();
  if (close(std::exchange(file_, -1)) != 0) fail_with_reason("cannot be written to its end");
}

void AtomicFile::move_into_place() {
  if (fsync(file_) != 0) fail_with_reason("cannot be flushed to the disk");
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_reason("cannot be renamed into place");
  temporary_.clear();
  int folder = open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail_with_reason("is written, but its folder cannot be opened to flush it");
  int flushed = fsync(folder);
  int reason = errno;
  close(folder);
  errno = reason;
  // Some file systems have nothing to flush in a folder and say EINVAL.
  if (flushed != 0 && reason != EINVAL) fail_with_reason("is written, but its folder cannot be flushed");
}

void AtomicFile::fail_with_reason(std::string_view what) const {
  fail(ErrorKind::output, "{} {}: {}", path_.string(), what, std::strerror(errno));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace dalle1
