#include "core/io/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace dalle1 {

FolderLock::FolderLock(const std::filesystem::path& folder) {
  folder_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(folder_ >= 0, ErrorKind::output, "{} cannot be opened: {}", folder.string(), std::strerror(errno));
  int result;
  do {
    result = flock(folder_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  held_ = result == 0;
  if (held_ || errno != EWOULDBLOCK) return;
  close(folder_);
  fail(ErrorKind::usage, "another run uses {}: wait until it has ended, or choose another output folder",
       folder.string());
}

FolderLock::~FolderLock() {
  if (folder_ >= 0) close(folder_);
}

}  // namespace dalle1
