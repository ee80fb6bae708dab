#include "tests/support/golden.h"

#include <stdlib.h>

#include <stdexcept>

namespace dalle1::test {

std::filesystem::path golden(const std::string& name) {
  auto path = std::filesystem::path(DALLE1_SOURCE_DIR) / "tests/golden" / name;
  if (!std::filesystem::exists(path)) throw std::runtime_error("missing golden file " + path.string());
  return path;
}

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
