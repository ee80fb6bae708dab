// A command with its options declared: what parsing, help, the manual and the completion read.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/program/command.h"

namespace dalle1::tools {

/// Stays where it is: the options write into `common`.
class CommandApp {
 public:
  explicit CommandApp(const Command& command);
  CommandApp(const CommandApp&) = delete;
  CommandApp& operator=(const CommandApp&) = delete;

  CLI::App app;
  std::function<int()> action;  ///< Runs the command with what app.parse() read.

 private:
  CommonOptions common_;
};

/// Its value as the help shows it: "N", "X", "TEXT,...", or "" for a flag.
std::string value_text(const CLI::Option& option);
/// The values of an option that takes only certain words, else none.
std::vector<std::string> allowed_values(const CLI::Option& option);

}  // namespace dalle1::tools
