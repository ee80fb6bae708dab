// Options that are numbers.
#pragma once

#include <CLI/CLI.hpp>

namespace dalle1::tools {

/// Makes every numeric option of the command take decimal numbers only, typed or from its environment
/// variable: CLI11 would take "010" for 8, wrap "-1" and saturate 2^64. What does not fit is its
/// ValidationError.
void check_numbers(CLI::App& app);

}  // namespace dalle1::tools
