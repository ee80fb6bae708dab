// Stopping a long run on purpose: the first SIGINT or SIGTERM asks, the second ends the process at once.
#pragma once

namespace dalle1::tools {

/// While one of these exists, the first SIGINT or SIGTERM only sets a flag that the loop polls, so that it
/// can save its work; a second one ends the process at once with 130 or 143. Without one, both signals have
/// their usual effect. At most one exists at a time.
class GracefulStop {
 public:
  GracefulStop();
  ~GracefulStop();
  GracefulStop(const GracefulStop&) = delete;
  GracefulStop& operator=(const GracefulStop&) = delete;

  static bool requested() { return signal_number() != 0; }
  static int signal_number();  ///< SIGINT, SIGTERM or 0.
};

}  // namespace dalle1::tools
