#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/error.h"
#include "tools/program/program.h"
#include "tools/program/standard_streams.h"

namespace {

// libgomp reads its wait policy while it is loaded, before main. With spinning waits a second busy process on
// the machine makes every parallel region ten times slower, so the program starts itself again with the
// policy set. The variable is then present, so this happens at most once.
void wait_passively(char** argv) {
  if (getenv("OMP_WAIT_POLICY")) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);
  perror("dalle1: warning: threads will wait actively, since the program cannot start itself again");
}

}  // namespace

int main(int argc, char** argv) {
  if (!dalle1::tools::open_standard_streams()) return static_cast<int>(dalle1::ErrorKind::output);
  wait_passively(argv);
  // A file beyond the size limit and a pipe that nobody reads are then errors of their write, as a full disk
  // is.
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  return dalle1::tools::run_program(argc, argv);
}
