// The table of commands. A new command is its own file and two lines here.
#include "tools/command.h"

namespace dalle1::tools {

Command inspect_command();

std::vector<Command> all_commands() {
  return {
      inspect_command(),
  };
}

}  // namespace dalle1::tools
