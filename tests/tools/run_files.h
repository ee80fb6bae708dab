// What a run of the program leaves, for comparisons.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

namespace dalle1::test {

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.good()) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Pictures, sheet and results by name: all that must not depend on how a run went.
inline std::map<std::string, std::string> products_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename() != "run.json")
      files[entry.path().filename().string()] = content_of(entry.path());
  return files;
}

}  // namespace dalle1::test
