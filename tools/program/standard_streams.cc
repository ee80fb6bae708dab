#include "tools/program/standard_streams.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

namespace dalle1::tools {

void write_stderr(std::string_view text) { fwrite(text.data(), 1, text.size(), stderr); }

bool open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1) continue;
    // The lowest free number is this one. Results that go nowhere are an error: stdout cannot be written
    // then.
    const int opened = open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    if (opened != stream) return false;
  }
  return true;
}

}  // namespace dalle1::tools
