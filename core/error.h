// The one way in which this project reports failure: an exception that carries a kind and one clear line.
//
// Libraries throw; they never print and never exit. The program catches once and maps the kind to its exit
// code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace dalle1 {

/// What went wrong, from the user's point of view. The value is the program's exit code.
enum class ErrorKind : int {
  internal = 1,      ///< A defect of this program.
  usage = 2,         ///< Wrong options or arguments.
  input = 3,         ///< Bad prompt, picture, data or study.
  model = 4,         ///< Bad model file, mismatch, NaN in its output, missing part.
  memory = 5,        ///< Not enough memory.
  device = 6,        ///< The requested device is missing.
  partial = 7,       ///< Some inputs failed; the rest was written.
  output = 8,        ///< Output cannot be written.
  interrupted = 130  ///< SIGINT.
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws Error(kind, fmt::format(message, args...)).
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> message, Args&&... args) {
  throw Error(kind, fmt::format(message, std::forward<Args>(args)...));
}

/// Throws unless `condition` holds. The message is formatted only on failure.
template <typename... Args>
void check(bool condition, ErrorKind kind, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) [[unlikely]]
    throw Error(kind, fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace dalle1
