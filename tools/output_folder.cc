#include "tools/output_folder.h"

#include "core/error.h"

namespace dalle1::tools {

void make_output_folder(const std::filesystem::path& folder, bool may_be_used, std::string_view advice) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const bool empty = !error && std::filesystem::is_empty(folder, error);
  check(!error, ErrorKind::output, "{}: {}", folder.string(), error.message());
  check(empty || may_be_used, ErrorKind::usage, "{} is not empty; {}", folder.string(), advice);
}

}  // namespace dalle1::tools
