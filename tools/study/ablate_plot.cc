#include "tools/study/ablate_plot.h"

#include <fmt/format.h>

#include <algorithm>

namespace dalle1::tools {

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
