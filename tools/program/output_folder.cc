#include "tools/program/output_folder.h"

#include <fmt/format.h>

#include "core/error.h"
#include "tools/program/progress.h"

namespace dalle1::tools {
namespace fs = std::filesystem;

FolderLock hold_output_folder(const CommonOptions& common, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, ErrorKind::output, "{}: {}", folder.string(), error.message());
  FolderLock lock(folder);
  if (!lock.held()) {
    const auto text =
        fmt::format("{} cannot be locked on this file system: give it to one run at a time", folder.string());
    tell(common, {{"event", "note"}, {"text", text}}, text);
  }
  return lock;
}

std::optional<FolderLock> hold_existing_folder(const CommonOptions& common, const fs::path& folder) {
  std::error_code none;  // what is no folder, or cannot be asked, is refused where it is made
  if (!fs::is_directory(folder, none)) return std::nullopt;
  return hold_output_folder(common, folder);
}

FolderLock make_output_folder(const CommonOptions& common, const fs::path& folder, bool may_be_used,
                              std::string_view advice) {
  FolderLock lock = hold_output_folder(common, folder);
  std::error_code error;
  const bool empty = fs::is_empty(folder, error);
  check(!error, ErrorKind::output, "{}: {}", folder.string(), error.message());
  check(empty || may_be_used, ErrorKind::usage, "{} is not empty; {}", folder.string(), advice);
  return lock;
}

}  // namespace dalle1::tools
