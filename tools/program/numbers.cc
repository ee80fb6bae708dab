#include "tools/program/numbers.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <limits>

#include "core/text/number.h"

namespace dalle1::tools {
namespace {

// Where a value comes from: its option, which CLI11 names, or the environment.
std::string source_of(const std::string& typed, const std::string& variable) {
  const char* value = variable.empty() ? nullptr : getenv(variable.c_str());
  return value && typed == value ? fmt::format(" (from {})", variable) : "";
}

// Checks a value and writes it the one way that CLI11 reads right.
template <typename T>
void take_only(CLI::Option& option, const std::string& what) {
  const auto check = [what, variable = option.get_envname()](std::string& typed) {
    const auto value = text::parse_number<T>(typed);
    if (!value) return fmt::format("'{}' is not {}{}", typed, what, source_of(typed, variable));
    typed = fmt::format("{}", *value);
    return std::string();
  };
  option.transform(CLI::Validator(check, ""));
}

}  // namespace

void check_numbers(CLI::App& app) {
  for (auto* option : app.get_options()) {
    if (option->get_type_size() == 0) continue;  // a flag
    const auto type = option->get_type_name();
    const auto is = [&](std::string_view name) {
      return type.starts_with(name) && (type.size() == name.size() || type[name.size()] == ':');
    };
    if (is("INT")) take_only<int64_t>(*option, "a whole number, or is too large");
    if (is("UINT"))
      take_only<uint64_t>(*option,
                          fmt::format("a whole number from 0 to {}", std::numeric_limits<uint64_t>::max()));
    if (is("FLOAT")) take_only<double>(*option, "a decimal number");
  }
}

}  // namespace dalle1::tools
