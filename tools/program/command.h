// What a command of the program is. A command is one file, tools/<name>.cc, that defines one function
// returning a Command, and two lines in tools/program/commands.cc. Nothing registers itself behind the
// reader's back.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "tools/program/options.h"

namespace dalle1::tools {

struct Command {
  std::string name;     ///< "sample"; "train dvae" is the subcommand dvae of the group train.
  std::string summary;  ///< One line for the list of commands and the help.
  std::string example;  ///< What the help leads with: one or more whole command lines, without indentation.

  /// Declares the options and returns what runs once they are parsed. The common options (--device,
  /// --threads,
  /// --json, --progress, --quiet) are there already. State that both need lives in a shared_ptr that the
  /// returned function captures. It returns the exit code, usually 0; failures are thrown as Error.
  std::function<std::function<int()>(CLI::App& app, CommonOptions& common)> declare;
  bool hidden = false;    ///< For packagers, not for users: no list names it.
  bool on_ranks = false;  ///< Its work is shared by the processes that a launcher starts.
};

/// All commands, in the order in which the help lists them.
std::vector<Command> all_commands();

}  // namespace dalle1::tools
