// The one way in which this project reports failure: an exception that carries a kind and one clear line.
//
// Libraries throw; they never print and never exit. The program catches once and maps the kind to its exit
// code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
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

/// The name of an option in the message of an error, as a library knows it: "top_k". A program that has other
/// spellings for its users (--top-k) puts them in with Error::spelled().
struct OptionName {
  std::string_view name;
};
// They enclose the name in the formatted message; what() is without them.
constexpr char kOptionBegins = '\x0e', kOptionEnds = '\x0f';

class Error : public std::runtime_error {
 public:
  using Spelling = std::string (*)(std::string_view option);

  /// `message` may contain formatted option names, and another error with its own.
  Error(ErrorKind kind, const std::string& message);
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }
  /// what() with the option names spelled otherwise.
  std::string spelled(Spelling spelling) const;
  /// The message with its option names marked, for an error about this error.
  const std::string& marked() const { return marked_; }

 private:
  ErrorKind kind_;
  std::string marked_;
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

template <>
struct fmt::formatter<dalle1::OptionName> : fmt::formatter<std::string_view> {
  auto format(const dalle1::OptionName& option, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "{}{}{}", dalle1::kOptionBegins, option.name, dalle1::kOptionEnds);
  }
};

template <>
struct fmt::formatter<dalle1::Error> : fmt::formatter<std::string_view> {
  auto format(const dalle1::Error& error, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(error.marked(), context);
  }
};
