#include "tests/support/golden.h"

#include <stdlib.h>

#include <stdexcept>

namespace dalle1::test {

namespace {

std::filesystem::path find_golden(const std::string& name) {
  const auto own = std::filesystem::path(DALLE1_SOURCE_DIR) / "tests/golden" / name;
  const char* larger = getenv("DALLE1_GOLDEN");
  return larger && !std::filesystem::exists(own) ? std::filesystem::path(larger) / name : own;
}

}  // namespace

std::filesystem::path golden(const std::string& name) {
  auto path = find_golden(name);
  if (!std::filesystem::exists(path)) throw std::runtime_error("missing golden file " + path.string());
  return path;
}

bool has_golden(const std::string& name) { return std::filesystem::exists(find_golden(name)); }

ScratchDir::ScratchDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "dalle1-test-XXXXXX").string();
  if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make a scratch folder " + pattern);
  path_ = pattern;
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;  // a leftover scratch folder is not worth a terminate
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace dalle1::test
