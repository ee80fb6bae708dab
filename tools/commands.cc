// The table of commands. A new command is its own file and two lines here.
#include "tools/command.h"

namespace dalle1::tools {

Command doctor_command();
Command grid_command();
Command inspect_command();

std::vector<Command> all_commands() {
  return {
      grid_command(),
      inspect_command(),
      doctor_command(),
  };
}

}  // namespace dalle1::tools
