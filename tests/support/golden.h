// Paths of the reference data that the project keeps, and a scratch folder per test.
#pragma once

#include <filesystem>
#include <string>

namespace dalle1::test {

/// Path of tests/golden/NAME, or of NAME in the folder that the environment's DALLE1_GOLDEN names (the larger
/// sets); throws when the file is missing, so that a test cannot pass without its data.
std::filesystem::path golden(const std::string& name);
bool has_golden(const std::string& name);

/// An empty folder that is removed when the object goes.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace dalle1::test
