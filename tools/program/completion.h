// Completion of the command line for bash.
#pragma once

#include <string>
#include <vector>

#include "tools/program/command.h"

namespace dalle1::tools {

/// A bash script: commands, their options, the words that an option takes, else files.
std::string bash_completion(const std::vector<Command>& commands);

}  // namespace dalle1::tools
