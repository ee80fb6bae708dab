// Line plots as SVG: training curves, rerank curves, ablations.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace dalle1 {

struct PlotSeries {
  std::string name = "";  ///< in the legend; empty: not listed
  /// Of equal length. A value that is not finite, or not positive on a log axis, breaks the line.
  std::vector<double> x, y;
  std::vector<double> low = {}, high = {};  ///< A band around the line; as long as x, or empty.
  std::string css_class = "";               ///< On a page: of its style sheet.
};

struct Plot {
  std::string title = "", x_label = "", y_label = "";
  std::vector<PlotSeries> series = {};
  bool log_x = false, log_y = false;
  bool markers = false;           ///< a dot at each point
  bool zero = false;              ///< a line at y = 0, which is then in the frame
  int width = 720, height = 400;  ///< pixels
  /// For a page whose style sheet colours it: elements have classes (svg.plot, .title, .rule, .zero and those
  /// of the series) and no colours, and there is no legend.
  bool on_page = false;
};

/// One SVG document of a single plot. Texts are UTF-8 and are escaped. Error(usage) when x and y of a series
/// differ in length or the plot is smaller than 160 x 120.
std::string to_svg(const Plot& plot);

/// One <svg> of a plot that is on_page, which scales with its column. Error(usage) as above.
std::string to_inline_svg(const Plot& plot);

/// Several plots in rows of `columns`, each of the size of the first.
std::string to_svg(std::span<const Plot> plots, int columns = 1);

/// Round values that divide [low, high] into about `wanted` parts, inside of the range; powers of ten and
/// their multiples by 2 and 5 when `log`. low < high; both positive when `log`.
std::vector<double> axis_ticks(double low, double high, int wanted, bool log);

/// 0.0003 -> "3e-4", 0.25 -> "0.25", 15000 -> "15k", 2500000 -> "2.5M".
std::string tick_label(double value);

}  // namespace dalle1
