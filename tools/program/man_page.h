// Manual pages, made from what the commands say of themselves.
#pragma once

#include <string>
#include <vector>

#include "tools/program/command.h"

namespace dalle1::tools {

/// dalle1(1): what the program is, its commands, environment and exit codes.
std::string program_page(const std::vector<Command>& commands);
/// dalle1-NAME(1) of one command: example, arguments, options by group.
std::string command_page(const Command& command);
/// "dalle1-train-clip" of "train clip".
std::string page_name(const Command& command);

}  // namespace dalle1::tools
