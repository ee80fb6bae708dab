#include "tools/study/ablate_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/image/plot.h"
#include "core/text/markup.h"

namespace dalle1::tools {
namespace {

constexpr double kWidth = 560, kHeight = 350, kLeft = 70, kRight = 18, kTop = 42, kBottom = 52;

struct Frame {
  double x_low = std::numeric_limits<double>::max(), x_high = std::numeric_limits<double>::lowest();
  double y_low = x_low, y_high = x_high;

  double x(double value) const {
    return kLeft + (value - x_low) / (x_high - x_low) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kTop + (y_high - value) / (y_high - y_low) * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const BandPlot& plot) {
  Frame frame;
  for (const BandSeries& one : plot.series) {
    for (size_t i = 0; i < one.x.size(); ++i) {
      frame.x_low = std::min(frame.x_low, one.x[i]);
      frame.x_high = std::max(frame.x_high, one.x[i]);
      frame.y_low = std::min(frame.y_low, one.low[i]);
      frame.y_high = std::max(frame.y_high, one.high[i]);
    }
  }
  if (frame.x_low > frame.x_high) return {0, 1, 0, 1};
  if (plot.zero) {
    frame.y_low = std::min(frame.y_low, 0.0);
    frame.y_high = std::max(frame.y_high, 0.0);
  }
  const double margin = frame.y_high > frame.y_low ? 0.04 * (frame.y_high - frame.y_low) : 0.5;
  frame.y_low -= margin;
  frame.y_high += margin;
  if (frame.x_low == frame.x_high) frame.x_low -= 1;
  return frame;
}

std::string axes(const Frame& frame) {
  std::string svg;
  for (double tick : axis_ticks(frame.y_low, frame.y_high, 6, false)) {
    svg += fmt::format("<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
                       kWidth - kRight, frame.y(tick), frame.y(tick));
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6,
                       frame.y(tick) + 4, tick_label(tick));
  }
  for (double tick : axis_ticks(frame.x_low, frame.x_high, 6, false)) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", frame.x(tick),
                       kHeight - kBottom + 18, tick_label(tick));
  }
  return svg;
}

std::string points(const Frame& frame, const std::vector<double>& x, const std::vector<double>& y) {
  std::string text;
  for (size_t i = 0; i < x.size(); ++i) text += fmt::format("{:.1f},{:.1f} ", frame.x(x[i]), frame.y(y[i]));
  return text;
}

std::string band(const Frame& frame, const BandSeries& one) {
  const std::vector<double> back_x(one.x.rbegin(), one.x.rend()), back_low(one.low.rbegin(), one.low.rend());
  return fmt::format("<polygon class=\"{}\" points=\"{}{}\"/>", one.colour, points(frame, one.x, one.high),
                     points(frame, back_x, back_low));
}

std::string line(const Frame& frame, const BandSeries& one) {
  return fmt::format("<polyline class=\"{}\" points=\"{}\"><title>{}</title></polyline>", one.colour,
                     points(frame, one.x, one.middle), text::escape_markup(one.name));
}

}  // namespace

std::string band_plot(const BandPlot& plot) {
  const Frame frame = frame_of(plot);
  std::string svg = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">"
      "<text class=\"title\" x=\"{}\" y=\"24\">{}</text>",
      kWidth, kHeight, text::escape_markup(plot.title), kLeft, text::escape_markup(plot.title));
  svg += axes(frame);
  if (plot.zero) {
    svg += fmt::format("<line class=\"zero\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
                       kWidth - kRight, frame.y(0), frame.y(0));
  }
  for (const BandSeries& one : plot.series) svg += band(frame, one);
  for (const BandSeries& one : plot.series) svg += line(frame, one);
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 10, text::escape_markup(plot.x_label));
  const double middle = (kTop + kHeight - kBottom) / 2;
  svg += fmt::format(
      "<text x=\"18\" y=\"{0:.1f}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {0:.1f})\">{1}</text>",
      middle, text::escape_markup(plot.y_label));
  return svg + "</svg>\n";
}

std::string interval_bar(const Interval& interval, double reach, const char* css_class) {
  const auto place = [&](double value) { return 76 + 70 * std::clamp(value / reach, -1.0, 1.0); };
  return fmt::format(
      "<svg class=\"interval {}\" viewBox=\"0 0 152 20\" aria-hidden=\"true\"><line class=\"zero\" "
      "x1=\"76\" "
      "x2=\"76\" y1=\"0\" y2=\"20\"/><line class=\"reach\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"10\" "
      "y2=\"10\"/><circle cx=\"{:.1f}\" cy=\"10\" r=\"4.5\"/></svg>",
      css_class, place(interval.low), place(interval.high), place(interval.middle));
}

}  // namespace dalle1::tools
