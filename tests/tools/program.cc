#include "tests/tools/program.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/golden.h"

namespace dalle1::test {
namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A terminal whose other end collects what is printed; none where a plain file will do.
class Terminal {
 public:
  explicit Terminal(bool wanted) {
    winsize size = {};
    size.ws_row = 25;
    size.ws_col = 100;
    if (!wanted) return;
    if (openpty(&ours_, &programs_, nullptr, nullptr, &size) != 0) throw std::runtime_error("no terminal");
    fcntl(ours_, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    for (const int file : {ours_, programs_})
      if (file >= 0) close(file);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  int programs_end() const { return programs_; }
  void collect(std::string& text) const {
    char buffer[4096];
    for (ssize_t got; ours_ >= 0 && (got = read(ours_, buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(got));
  }

 private:
  int ours_ = -1, programs_ = -1;
};

[[noreturn]] void become_program(const std::vector<std::string>& arguments, const ProgramOptions& options,
                                 const std::string& out, int err_file) {
  std::vector<char*> argv;
  for (const auto& word : options.launcher) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(const_cast<char*>(DALLE1_PROGRAM));
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
  const int out_file = open(out.c_str(), O_WRONLY | O_CREAT, 0600);
  dup2(out_file, STDOUT_FILENO);
  close(out_file);
  dup2(options.standard_error.empty() ? err_file : open(options.standard_error.c_str(), O_WRONLY),
       STDERR_FILENO);
  for (const int stream : options.closed) close(stream);
  if (options.most_file_bytes > 0) {
    const rlimit limit = {options.most_file_bytes, options.most_file_bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(99);
  execvp(argv[0], argv.data());
  _exit(98);
}

}  // namespace

int ProgramResult::error_lines() const {
  std::istringstream lines(err);
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) count += line.rfind("dalle1: error:", 0) == 0;
  return count;
}

std::string ProgramResult::error_line() const {
  if (error_lines() != 1) return {};
  const size_t begin = err.rfind("dalle1: error:");
  return err.substr(begin, err.find('\n', begin) - begin);
}

ProgramResult run_program(const std::vector<std::string>& arguments, const ProgramOptions& options) {
  ScratchDir scratch;
  const auto out = options.standard_output.empty() ? (scratch / "out").string() : options.standard_output;
  const auto err = (scratch / "err").string();
  const Terminal terminal(options.terminal);
  const int err_file =
      options.terminal ? terminal.programs_end() : open(err.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t process = fork();
  if (process < 0) throw std::runtime_error("cannot fork");
  if (process == 0) become_program(arguments, options, out, err_file);
  if (!options.terminal) close(err_file);
  ProgramResult result;
  int status = 0;
  rusage usage = {};
  while (wait4(process, &status, WNOHANG, &usage) == 0) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (options.watch) options.watch(process, seconds);
    if (seconds > options.most_seconds) kill(process, SIGKILL);
    terminal.collect(result.err);
    std::this_thread::sleep_for(std::chrono::milliseconds(options.watch ? 1 : 3));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.peak_bytes = 1024.0 * static_cast<double>(usage.ru_maxrss);
  if (options.standard_output.empty()) result.out = content(out);
  if (options.terminal)
    terminal.collect(result.err);
  else
    result.err = content(err);
  return result;
}

}  // namespace dalle1::test
