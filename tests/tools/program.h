// Runs the built program as its users do: another process, its streams, its exit code.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace dalle1::test {

struct ProgramResult {
  int exit_code = -1;  ///< 128 + the signal's number when a signal ended it.
  std::string out, err;
  double peak_bytes = 0;  ///< Most memory that it had (resident set).

  /// Lines of stderr that begin with "dalle1: error:".
  int error_lines() const;
  std::string error_line() const;  ///< The only one; empty when there is none or more than one.
};

struct ProgramOptions {
  std::map<std::string, std::string> environment = {};  ///< Added to this process's.
  std::filesystem::path directory = {};                 ///< Where it runs; empty: here.
  std::string standard_output = {};                     ///< A file instead of a pipe, for instance /dev/full.
  /// Called again and again with the process and the seconds since its start, until it ends.
  std::function<void(int process, double seconds)> watch = {};
  double most_seconds = 120;               ///< Then it is killed.
  bool terminal = false;                   ///< stderr is a terminal of 100 columns.
  uint64_t most_file_bytes = 0;            ///< No file may grow beyond this, as on a full disk; 0: no limit.
  std::string standard_error = {};         ///< A file instead of a pipe; then `err` is empty.
  std::vector<int> closed = {};            ///< Of 0, 1, 2: streams that are closed when it starts.
  std::vector<std::string> launcher = {};  ///< What starts it instead: its words stand before the program.
};

ProgramResult run_program(const std::vector<std::string>& arguments, const ProgramOptions& options = {});

}  // namespace dalle1::test
