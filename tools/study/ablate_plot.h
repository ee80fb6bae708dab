// Differences as inline SVG whose colours come from the page's style sheet (see ablate_page.h).
#pragma once

#include <string>

namespace dalle1::tools {

/// A difference with its interval, on a scale that all rows of a table share.
struct Interval {
  double low = 0, middle = 0, high = 0;
};
/// <svg> of one interval with a line at zero; `reach`: the scale's end on both sides, above 0.
std::string interval_bar(const Interval& interval, double reach, const char* css_class);

}  // namespace dalle1::tools
