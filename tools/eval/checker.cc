#include "tools/eval/checker.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/program/interrupt.h"

namespace dalle1::tools {
Checker::Checker(const std::vector<std::string>& command) : name_(command.at(0)) {
  const bool runs = access(name_.c_str(), X_OK) == 0;
  check(runs, ErrorKind::usage, "the checker {} cannot be run: {}", name_, std::strerror(errno));
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // A socket rather than pipes: writing to a checker that has ended must be an error, not a signal.
  int ends[2];
  const bool paired = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
  check(paired, ErrorKind::internal, "no socket: {}", std::strerror(errno));
  process_ = fork();
  check(process_ >= 0, ErrorKind::internal, "no process: {}", std::strerror(errno));
  if (process_ == 0) {
    setpgid(0, 0);  // an interrupt at the terminal is for us; the checker ends with its input
    signal(SIGPIPE, SIG_DFL);
    dup2(ends[1], STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(ends[1]);
  socket_ = ends[0];
}

Checker::~Checker() {
  close(socket_);
  if (GracefulStop::requested()) kill(-process_, SIGTERM);  // it may be what was waited for
  waitpid(process_, nullptr, 0);
}

std::optional<bool> Checker::shows(const std::filesystem::path& picture, const std::string& caption) {
  const auto line = nlohmann::json{{"image", picture.string()}, {"caption", caption}}.dump() + "\n";
  for (size_t done = 0; done < line.size();) {
    const auto written = send(socket_, line.data() + done, line.size() - done, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, ErrorKind::input, "the checker {} has ended: {}", name_, std::strerror(errno));
    done += static_cast<size_t>(written);
  }
  const auto reply = read_line();
  const auto answer = nlohmann::json::parse(reply, nullptr, false);
  const bool answered = answer.is_object() && answer.contains("right") && !answer.contains("error") &&
                        (answer["right"].is_null() || answer["right"].is_boolean());
  check(answered, ErrorKind::input, "the checker {} answered: {}", name_, reply);
  if (answer["right"].is_null()) return std::nullopt;
  return answer["right"].get<bool>();
}

// Reading alone would go on waiting after a signal.
void Checker::await_answer() const {
  constexpr int most_milliseconds = 500;
  pollfd answer = {socket_, POLLIN, 0};
  while (poll(&answer, 1, most_milliseconds) <= 0)
    check(!GracefulStop::requested(), ErrorKind::interrupted, "interrupted while {} was checking a picture",
          name_);
}

std::string Checker::read_line() {
  for (;;) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      auto line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    await_answer();
    char block[4096];
    const auto got = read(socket_, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    check(got > 0, ErrorKind::input, "the checker {} ended without an answer", name_);
    buffer_.append(block, static_cast<size_t>(got));
  }
}

}  // namespace dalle1::tools
