#include "tools/program/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace dalle1::tools {
namespace {

volatile sig_atomic_t caught = 0;
struct sigaction previous_interrupt, previous_terminate, previous_user;

extern "C" void on_signal(int number) {
  if (caught) _exit(128 + number);
  caught = number;
}

}  // namespace

GracefulStop::GracefulStop() {
  caught = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // a signal must not turn a write into an error
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_interrupt);
  sigaction(SIGTERM, &action, &previous_terminate);
  sigaction(SIGUSR1, &action, &previous_user);
}

GracefulStop::~GracefulStop() {
  sigaction(SIGINT, &previous_interrupt, nullptr);
  sigaction(SIGTERM, &previous_terminate, nullptr);
  sigaction(SIGUSR1, &previous_user, nullptr);
}

int GracefulStop::signal_number() { return caught; }

}  // namespace dalle1::tools
