// Suggestions for what was mistyped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dalle1::text {

/// Least number of single-character insertions, deletions, replacements and swaps of neighbours.
int edit_distance(std::string_view a, std::string_view b);

/// "; did you mean 'sample'?" for the nearest name if it is near enough to be meant, else nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

}  // namespace dalle1::text
