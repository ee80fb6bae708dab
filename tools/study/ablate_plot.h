// Curves with bands as inline SVG whose colours come from the page's style sheet (see ablate_page.h).
#pragma once

#include <string>
#include <vector>

namespace dalle1::tools {

struct BandSeries {
  std::string name;
  std::string colour;                        ///< Class of the style sheet.
  std::vector<double> x, middle, low, high;  ///< Of equal length.
};

struct BandPlot {
  std::string title, x_label, y_label;
  std::vector<BandSeries> series;  ///< The last is drawn on top.
  bool zero = false;               ///< Draws a line at 0, which is then in the frame.
};

/// One <svg> that scales with its column, without a legend.
std::string band_plot(const BandPlot& plot);

/// A difference with its interval, on a scale that all rows of a table share.
struct Interval {
  double low = 0, middle = 0, high = 0;
};
/// <svg> of one interval with a line at zero; `reach`: the scale's end on both sides, above 0.
std::string interval_bar(const Interval& interval, double reach, const char* css_class);

}  // namespace dalle1::tools
