// stdin, stdout and stderr.
#pragma once

#include <string_view>

namespace dalle1::tools {

/// Writes to stderr. Progress that cannot be shown, since stderr is closed, full or read no longer, is no
/// reason to stop and no other exit code: it is lost, and nothing is thrown.
void write_stderr(std::string_view text);

/// Makes sure that 0, 1 and 2 are open, so that no file that is opened later takes their place and gets what
/// is meant for them. Where stdout was closed, writing it stays an error; stdin is empty then, and what goes
/// to stderr is lost. False when there is no /dev/null either.
bool open_standard_streams();

}  // namespace dalle1::tools
