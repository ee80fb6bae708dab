// The whole program behind main(), apart from tools/program/command.h: main.cc then compiles without the
// option parser.
#pragma once

namespace dalle1::tools {

/// Parses, runs one command, prints at most one `dalle1: error:` line on stderr and returns the exit code:
/// that of the error's kind (core/error.h), or 128 + the signal's number for ErrorKind::interrupted.
int run_program(int argc, char** argv);

}  // namespace dalle1::tools
