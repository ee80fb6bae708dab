#include "core/image/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/text/markup.h"

namespace dalle1 {
namespace {

// Okabe and Ito (2008): eight colours that colour-blind readers can tell apart; the pale yellow is left out.
constexpr std::array kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"};
constexpr const char* kFont = "font-family='Helvetica,Arial,sans-serif'";
constexpr int kLeft = 64, kRight = 20, kBottom = 46, kTitle = 30, kLegendLine = 18;

/// One axis: values to [0, 1].
struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool log = false;

  bool shows(double value) const { return std::isfinite(value) && (!log || value > 0); }
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  /// Gives a single value some room on both sides, and an axis without values the range 0 to 1.
  void settle() {
    if (empty()) low = log ? 0.1 : 0, high = 1;
    if (low < high) return;
    const double room = std::max(std::abs(low) * 0.1, 1e-12);
    low = log ? low / 2 : low - room;
    high = log ? high * 2 : high + room;
  }
  /// A twentieth more on both sides, so that lines do not touch the frame.
  void widen() {
    if (log) {
      const double factor = std::pow(high / low, 0.05);
      low /= factor, high *= factor;
    } else {
      const double room = (high - low) * 0.05;
      low -= room, high += room;
    }
  }
  double place(double value) const {
    return log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  }
};

/// The rectangle of the plot itself and its two axes.
struct Frame {
  double left, top, width, height;
  Axis x, y;

  double at_x(double value) const { return left + x.place(value) * width; }
  double at_y(double value) const { return top + (1 - y.place(value)) * height; }
};

struct Point {
  double x, y;
};

/// Runs of drawable points in pixels. Where many share a pixel column, its first, lowest, highest and last
/// remain.
std::vector<std::vector<Point>> runs_of(const PlotSeries& series, const Frame& frame) {
  std::vector<std::vector<Point>> runs(1);
  std::vector<Point> column;
  const auto flush = [&] {
    if (column.size() > 4) {
      auto [low, high] =
          std::minmax_element(column.begin(), column.end(), [](Point a, Point b) { return a.y < b.y; });
      if (high < low) std::swap(low, high);
      column = {column.front(), *low, *high, column.back()};
    }
    runs.back().insert(runs.back().end(), column.begin(), column.end());
    column.clear();
  };
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!frame.x.shows(series.x[i]) || !frame.y.shows(series.y[i])) {
      flush();
      if (!runs.back().empty()) runs.emplace_back();
      continue;
    }
    const Point point{frame.at_x(series.x[i]), frame.at_y(series.y[i])};
    if (!column.empty() && std::floor(column.front().x) != std::floor(point.x)) flush();
    column.push_back(point);
  }
  flush();
  return runs;
}

/// How an element is coloured: by a class of the page's style sheet, or by attributes.
std::string look(const Plot& plot, const std::string& css_class, const std::string& attributes) {
  return plot.on_page ? fmt::format("class='{}'", css_class) : attributes;
}

std::string text_of(const std::vector<Point>& points) {
  std::string text;
  for (const Point& point : points) text += fmt::format("{:.1f},{:.1f} ", point.x, point.y);
  return text;
}

void draw_band(std::string& svg, const Plot& plot, const PlotSeries& series, const char* colour,
               const Frame& frame) {
  std::vector<Point> around;
  for (size_t i = 0; i < series.low.size(); ++i)
    around.push_back({frame.at_x(series.x[i]), frame.at_y(series.high[i])});
  for (size_t i = series.low.size(); i-- > 0;)
    around.push_back({frame.at_x(series.x[i]), frame.at_y(series.low[i])});
  if (around.empty()) return;
  svg += fmt::format("<polygon {} points='{}'/>\n",
                     look(plot, series.css_class, fmt::format("fill='{}' fill-opacity='0.13'", colour)),
                     text_of(around));
}

void draw_series(std::string& svg, const Plot& plot, const PlotSeries& series, const char* colour,
                 const Frame& frame) {
  const auto line =
      look(plot, series.css_class,
           fmt::format("fill='none' stroke='{}' stroke-width='1.6' stroke-linejoin='round'", colour));
  for (const std::vector<Point>& run : runs_of(series, frame)) {
    if (run.size() > 1 && !plot.on_page)
      svg += fmt::format("<polyline {} points='{}'/>\n", line, text_of(run));
    if (run.size() > 1 && plot.on_page)
      svg += fmt::format("<polyline {} points='{}'><title>{}</title></polyline>\n", line, text_of(run),
                         text::escape_markup(series.name));
    if (!plot.markers && run.size() != 1) continue;
    for (const Point& point : run) {
      svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='2.8' {}/>\n", point.x, point.y,
                         look(plot, series.css_class, fmt::format("fill='{}'", colour)));
    }
  }
}

std::string text_at(const Plot& plot, double x, double y, const char* anchor, int size,
                    const std::string& text, const std::string& more = "") {
  const auto font = plot.on_page ? "" : fmt::format("font-size='{}' {} fill='#333'", size, kFont);
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}' {} {}>{}</text>\n", x, y, anchor, font,
                     more, text::escape_markup(text));
}

void draw_axes(std::string& svg, const Plot& plot, const Frame& frame) {
  const double right = frame.left + frame.width, bottom = frame.top + frame.height;
  const auto line = [&](double x1, double y1, double x2, double y2, const char* colour,
                        const char* css_class = "rule") {
    svg += fmt::format("<line x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}' {}/>\n", x1, y1, x2, y2,
                       look(plot, css_class, fmt::format("stroke='{}'", colour)));
  };
  for (double tick : axis_ticks(frame.y.low, frame.y.high, 6, frame.y.log)) {
    line(frame.left, frame.at_y(tick), right, frame.at_y(tick), "#e6e6e6");
    svg += text_at(plot, frame.left - 6, frame.at_y(tick) + 4, "end", 11, tick_label(tick));
  }
  for (double tick : axis_ticks(frame.x.low, frame.x.high, static_cast<int>(frame.width / 90), frame.x.log)) {
    line(frame.at_x(tick), frame.top, frame.at_x(tick), bottom, "#e6e6e6");
    svg += text_at(plot, frame.at_x(tick), bottom + 16, "middle", 11, tick_label(tick));
  }
  line(frame.left, bottom, right, bottom, "#888");
  line(frame.left, frame.top, frame.left, bottom, "#888");
  svg += text_at(plot, frame.left + frame.width / 2, bottom + 36, "middle", 12, plot.x_label);
  const double middle = frame.top + frame.height / 2;
  svg += text_at(plot, 16, middle, "middle", 12, plot.y_label,
                 fmt::format("transform='rotate(-90 16 {:.1f})'", middle));
  if (plot.zero) line(frame.left, frame.at_y(0), right, frame.at_y(0), "#888", "zero");
}

/// Draws the names in lines of the plot's width and returns the height they take.
double draw_legend(std::string& svg, const Plot& plot, double top) {
  double x = kLeft, y = top + 10;
  bool any = false;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const std::string& name = plot.series[i].name;
    if (name.empty()) continue;
    const double width = 34 + 6.6 * static_cast<double>(name.size());  // of 12-pixel letters, about
    if (any && x + width > plot.width - kRight) x = kLeft, y += kLegendLine;
    svg += fmt::format(
        "<line x1='{0:.1f}' y1='{1:.1f}' x2='{2:.1f}' y2='{1:.1f}' stroke='{3}' stroke-width='3'/>\n", x,
        y - 4, x + 16, kColours[i % kColours.size()]);
    svg += text_at(plot, x + 21, y, "start", 12, name);
    x += width;
    any = true;
  }
  return any ? y - top + 10 : 0;
}

std::string draw_panel(const Plot& plot) {
  check(plot.width >= 160 && plot.height >= 120, ErrorKind::usage, "plot: {} x {} pixels; 160 x 120 at least",
        plot.width, plot.height);
  Frame frame{};
  frame.x.log = plot.log_x;
  frame.y.log = plot.log_y;
  for (const PlotSeries& series : plot.series) {
    check(series.x.size() == series.y.size(), ErrorKind::usage, "plot: series '{}' has {} x and {} y",
          series.name, series.x.size(), series.y.size());
    check(series.low.size() == series.high.size() &&
              (series.low.empty() || series.low.size() == series.x.size()),
          ErrorKind::usage, "plot: the band of series '{}' is not as long as its line", series.name);
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!frame.x.shows(series.x[i]) || !frame.y.shows(series.y[i])) continue;
      frame.x.include(series.x[i]);
      frame.y.include(series.y[i]);
      if (series.low.empty()) continue;
      frame.y.include(series.low[i]);
      frame.y.include(series.high[i]);
    }
  }
  if (plot.zero) frame.y.include(0);
  const bool nothing = frame.x.empty();
  frame.x.settle();
  frame.y.settle();
  frame.y.widen();

  std::string svg =
      text_at(plot, kLeft, 20, "start", 15, plot.title, look(plot, "title", "font-weight='bold'"));
  const double top = plot.title.empty() ? 10 : kTitle;
  frame.left = kLeft;
  frame.top = top + (plot.on_page ? 0 : draw_legend(svg, plot, top));
  frame.width = plot.width - kLeft - kRight;
  frame.height = std::max(40.0, plot.height - frame.top - kBottom);
  draw_axes(svg, plot, frame);
  const auto colour = [](size_t i) { return kColours[i % kColours.size()]; };
  for (size_t i = 0; i < plot.series.size(); ++i) draw_band(svg, plot, plot.series[i], colour(i), frame);
  for (size_t i = 0; i < plot.series.size(); ++i) draw_series(svg, plot, plot.series[i], colour(i), frame);
  if (nothing) {
    svg += text_at(plot, frame.left + frame.width / 2, frame.top + frame.height / 2, "middle", 13,
                   "no data yet");
  }
  return svg;
}

}  // namespace

std::string to_svg(const Plot& plot) { return to_svg(std::span(&plot, 1)); }

std::string to_inline_svg(const Plot& plot) {
  return fmt::format("<svg class='plot' viewBox='0 0 {} {}' role='img' aria-label='{}'>\n{}</svg>\n",
                     plot.width, plot.height, text::escape_markup(plot.title), draw_panel(plot));
}

std::string to_svg(std::span<const Plot> plots, int columns) {
  check(!plots.empty() && columns >= 1, ErrorKind::usage, "plot: {} plots in {} columns", plots.size(),
        columns);
  const int width = plots[0].width, height = plots[0].height;
  const int across = std::min(columns, static_cast<int>(plots.size()));
  const int rows = (static_cast<int>(plots.size()) + across - 1) / across;
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}'>\n"
      "<rect width='{0}' height='{1}' fill='white'/>\n",
      across * width, rows * height);
  for (int i = 0; i < static_cast<int>(plots.size()); ++i) {
    Plot plot = plots[i];
    plot.width = width, plot.height = height;
    svg += fmt::format("<g transform='translate({},{})'>\n{}</g>\n", i % across * width, i / across * height,
                       draw_panel(plot));
  }
  return svg + "</svg>\n";
}

std::vector<double> axis_ticks(double low, double high, int wanted, bool log) {
  std::vector<double> ticks;
  if (log && high / low >= 8) {
    const double decades = std::log10(high / low);
    const int stride = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
    const bool between = decades < wanted / 2.0;
    for (int power = static_cast<int>(std::floor(std::log10(low))); power <= std::log10(high);
         power += stride) {
      for (double factor : {1.0, 2.0, 5.0}) {
        const double tick = factor * std::pow(10.0, power);
        if ((factor == 1.0 || between) && tick >= low && tick <= high) ticks.push_back(tick);
      }
    }
    return ticks;
  }
  const double raw = (high - low) / std::max(wanted, 1), power = std::pow(10.0, std::floor(std::log10(raw)));
  const double mantissa = raw / power;
  const double step = power * (mantissa <= 1 ? 1 : mantissa <= 2 ? 2 : mantissa <= 5 ? 5 : 10);
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
    ticks.push_back(i * step);
  return ticks;
}

std::string tick_label(double value) {
  const double size = std::abs(value);
  if (size < 1e-12) return "0";
  if (size >= 1e9 || size < 1e-3) {
    const int power = static_cast<int>(std::floor(std::log10(size) + 1e-9));
    return fmt::format("{:.3g}e{}", value / std::pow(10.0, power), power);
  }
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

}  // namespace dalle1
