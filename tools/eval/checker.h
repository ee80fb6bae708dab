// A program that says whether a picture shows a caption: one JSON line in, one JSON line out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dalle1::tools {

class Checker {
 public:
  /// Starts `command` (the program and its arguments). Error(usage) when it cannot be started.
  explicit Checker(const std::vector<std::string>& command);
  /// Ends its input and waits for it.
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  /// Whether the picture shows the caption; nothing where such captions cannot be checked. Error(input)
  /// when the program breaks the protocol: {"image", "caption"} in, {"right": true, false or null} out,
  /// "error" where it failed.
  std::optional<bool> shows(const std::filesystem::path& picture, const std::string& caption);

 private:
  void await_answer() const;
  std::string read_line();

  std::string name_;
  int process_ = -1, socket_ = -1;
  std::string buffer_;
};

}  // namespace dalle1::tools
