// Curves with bands as inline SVG whose colours come from the page's style sheet.
#pragma once

#include <string>
#include <vector>

namespace dalle1::tools {

struct BandSeries {
  std::string name;
  std::vector<double> x, middle, low, high;  ///< Of equal length.
};

/// One <svg> that scales with its column. Series i has the classes line-i and band-i (i modulo 10). No
/// legend.
std::string band_plot(const std::string& title, const std::string& x_label, const std::string& y_label,
                      const std::vector<BandSeries>& series);

/// A difference with its interval, on a scale that all rows of a table share.
struct Interval {
  double low = 0, middle = 0, high = 0;
};
/// <svg> of one interval with a line at zero; `reach`: the scale's end on both sides, above 0.
std::string interval_bar(const Interval& interval, double reach);

std::string escape_html(const std::string& text);

}  // namespace dalle1::tools
