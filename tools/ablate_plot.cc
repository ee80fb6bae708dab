#include "tools/ablate_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/image/plot.h"

namespace dalle1::tools {
namespace {

constexpr double kWidth = 560, kHeight = 340, kLeft = 58, kRight = 14, kTop = 34, kBottom = 46;

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

Frame frame_of(const std::vector<BandSeries>& series) {
  Frame frame;
  for (const BandSeries& one : series) {
    for (size_t i = 0; i < one.x.size(); ++i) {
      frame.x_low = std::min(frame.x_low, one.x[i]);
      frame.x_high = std::max(frame.x_high, one.x[i]);
      frame.y_low = std::min(frame.y_low, one.low[i]);
      frame.y_high = std::max(frame.y_high, one.high[i]);
    }
  }
  if (frame.x_low > frame.x_high) return {0, 1, 0, 1};
  const double margin = frame.y_high > frame.y_low ? 0.04 * (frame.y_high - frame.y_low) : 0.5;
  frame.y_low -= margin;
  frame.y_high += margin;
  if (frame.x_low == frame.x_high) frame.x_low -= 1;
  return frame;
}

std::string axes(const Frame& frame) {
  std::string svg;
  for (double tick : axis_ticks(frame.y_low, frame.y_high, 6, false)) {
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
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

std::string curve(const Frame& frame, const BandSeries& one, size_t colour) {
  std::string line, upper, lower;
  for (size_t i = 0; i < one.x.size(); ++i) {
    const size_t back = one.x.size() - 1 - i;
    line += fmt::format("{:.1f},{:.1f} ", frame.x(one.x[i]), frame.y(one.middle[i]));
    upper += fmt::format("{:.1f},{:.1f} ", frame.x(one.x[i]), frame.y(one.high[i]));
    lower += fmt::format("{:.1f},{:.1f} ", frame.x(one.x[back]), frame.y(one.low[back]));
  }
  return fmt::format(
      "<polygon class=\"band-{0}\" points=\"{1}{2}\"/>"
      "<polyline class=\"line-{0}\" points=\"{3}\"><title>{4}</title></polyline>",
      colour, upper, lower, line, escape_html(one.name));
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string band_plot(const std::string& title, const std::string& x_label, const std::string& y_label,
                      const std::vector<BandSeries>& series) {
  const Frame frame = frame_of(series);
  std::string svg = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">"
      "<text class=\"title\" x=\"{}\" y=\"20\">{}</text>",
      kWidth, kHeight, escape_html(title), kLeft, escape_html(title));
  svg += axes(frame);
  for (size_t i = 0; i < series.size(); ++i) svg += curve(frame, series[i], i % 10);
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8, escape_html(x_label));
  const double middle = (kTop + kHeight - kBottom) / 2;
  svg += fmt::format(
      "<text x=\"14\" y=\"{0:.1f}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {0:.1f})\">{1}</text>",
      middle, escape_html(y_label));
  return svg + "</svg>\n";
}

std::string interval_bar(const Interval& interval, double reach) {
  const auto place = [&](double value) { return 100 + 92 * std::clamp(value / reach, -1.0, 1.0); };
  return fmt::format(
      "<svg class=\"interval\" viewBox=\"0 0 200 16\"><line class=\"zero\" x1=\"100\" x2=\"100\" y1=\"0\" "
      "y2=\"16\"/><line class=\"reach\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"8\" y2=\"8\"/><circle cx=\"{:.1f}\" "
      "cy=\"8\" r=\"3.5\"/></svg>",
      place(interval.low), place(interval.high), place(interval.middle));
}

}  // namespace dalle1::tools
