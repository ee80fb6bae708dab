#include "tests/tools/program.h"

#include <fcntl.h>
#include <signal.h>
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

[[noreturn]] void become_program(const std::vector<std::string>& arguments, const ProgramOptions& options,
                                 const std::string& out, const std::string& err) {
  std::vector<char*> argv = {const_cast<char*>(DALLE1_PROGRAM)};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
  const int out_file = open(out.c_str(), O_WRONLY | O_CREAT, 0600);
  const int err_file = open(err.c_str(), O_WRONLY | O_CREAT, 0600);
  dup2(out_file, STDOUT_FILENO);
  dup2(err_file, STDERR_FILENO);
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(99);
  execv(DALLE1_PROGRAM, argv.data());
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
  const auto begin = std::chrono::steady_clock::now();
  const pid_t process = fork();
  if (process < 0) throw std::runtime_error("cannot fork");
  if (process == 0) become_program(arguments, options, out, err);
  int status = 0;
  while (waitpid(process, &status, WNOHANG) == 0) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (options.watch) options.watch(process, seconds);
    if (seconds > options.most_seconds) kill(process, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(options.watch ? 1 : 3));
  }
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (options.standard_output.empty()) result.out = content(out);
  result.err = content(err);
  return result;
}

}  // namespace dalle1::test
