// SVG plots: well-formed, scaled, robust to what training logs hold.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.h"
#include "core/image/plot.h"

using namespace dalle1;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Every tag closed in order, every attribute quoted: enough of XML for what we write.
bool well_formed(const std::string& svg) {
  std::vector<std::string> open;
  size_t at = 0;
  while ((at = svg.find('<', at)) != std::string::npos) {
    const size_t end = svg.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = svg.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.find('<') != std::string::npos || std::count(tag.begin(), tag.end(), '\'') % 2 != 0) return false;
    const std::string name = tag.substr(0, tag.find(' '));
    if (name.starts_with('/')) {
      if (open.empty() || "/" + open.back() != name) return false;
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(name);
    }
  }
  return open.empty();
}

/// The points of all polylines.
std::vector<std::pair<double, double>> points_of(const std::string& svg) {
  std::vector<std::pair<double, double>> points;
  const std::string attribute = " points='";
  for (size_t at = svg.find(attribute); at != std::string::npos; at = svg.find(attribute, at + 1)) {
    const size_t start = at + attribute.size();
    std::istringstream stream(svg.substr(start, svg.find('\'', start) - start));
    double x, y;
    for (char comma; stream >> x >> comma >> y;) points.emplace_back(x, y);
  }
  return points;
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("plot: lines lie where the axes say") {
  Plot plot{.title = "loss", .x_label = "step", .y_label = "nats"};
  plot.series = {{"train", {0, 50, 100}, {4, 2, 3}}};
  const std::string svg = to_svg(plot);
  CHECK(well_formed(svg));
  const auto points = points_of(svg);
  REQUIRE(points.size() == 3);
  CHECK(points[1].first == doctest::Approx((points[0].first + points[2].first) / 2).epsilon(0.001));
  CHECK(points[0].second < points[2].second);  // larger values are higher up
  CHECK(points[2].second == doctest::Approx((points[0].second + points[1].second) / 2).epsilon(0.001));
  for (const char* text : {">loss<", ">step<", ">nats<", ">train<", ">100<"})
    CHECK(svg.find(text) != std::string::npos);

  plot.log_y = true;
  plot.series[0].y = {1, 10, 100};
  const auto logged = points_of(to_svg(plot));
  CHECK(logged[1].second == doctest::Approx((logged[0].second + logged[2].second) / 2).epsilon(0.001));
}

TEST_CASE("plot: gaps, single points, nothing at all") {
  Plot plot{.series = {{"a", {0, 1, 2, 3, 4}, {1, 2, kNan, 4, 5}}}};
  CHECK(count(to_svg(plot), "<polyline") == 2);
  plot.series = {{"a", {0, 1, 2}, {1, INFINITY, 2}}};
  CHECK(count(to_svg(plot), "<circle") == 2);
  plot.series = {{"a", {0, 1, 2}, {1, -1, 2}}};
  plot.log_y = true;
  CHECK(count(to_svg(plot), "<circle") == 2);
  for (const PlotSeries& series : {PlotSeries{"a", {}, {}}, PlotSeries{"a", {1}, {kNan}}}) {
    const std::string svg = to_svg(Plot{.series = {series}});
    CHECK(well_formed(svg));
    CHECK(svg.find("no data yet") != std::string::npos);
  }
  const std::string flat = to_svg(Plot{.series = {{"a", {1, 2}, {0, 0}}}});
  CHECK(flat.find("nan") == std::string::npos);
  CHECK(points_of(flat).size() == 2);
}

TEST_CASE("plot: a long log keeps its peaks and stays small") {
  PlotSeries series{"loss", {}, {}};
  for (int i = 0; i < 200'000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 123'456 ? 50.0 : 1 + 0.01 * (i % 7));
  }
  const std::string svg = to_svg(Plot{.series = {series}});
  CHECK(svg.size() < 100'000);
  double highest = 1e9;
  for (const auto& [x, y] : points_of(svg)) highest = std::min(highest, y);
  CHECK(highest < 60);  // the peak reaches the top of the frame
}

TEST_CASE("plot: names are escaped, panels stand in rows") {
  Plot plot{.title = "a < b & \"c\" 'd'\n", .series = {{"x>y", {0, 1}, {0, 1}}}, .markers = true};
  const std::vector<Plot> plots(3, plot);
  const std::string svg = to_svg(plots, 2);
  CHECK(well_formed(svg));
  CHECK(svg.find("a &lt; b &amp; &quot;c&quot; &#39;d&#39;<") != std::string::npos);
  CHECK(svg.find("width='1440' height='800'") != std::string::npos);
  CHECK(svg.find("translate(0,400)") != std::string::npos);
  CHECK(count(svg, "<circle") == 6);
  plot.series[0].y.pop_back();
  CHECK_THROWS_WITH_AS(to_svg(plot), doctest::Contains("2 x and 1 y"), Error);
  CHECK_THROWS_AS(to_svg(Plot{.width = 10}), Error);
}

TEST_CASE("plot: ticks are round and inside of the range") {
  CHECK(axis_ticks(0, 10, 5, false) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(axis_ticks(1, 1000, 5, true) == std::vector<double>{1, 10, 100, 1000});
  for (const auto& [low, high] :
       {std::pair{-3.7, 12.9}, {0.00012, 0.00019}, {1e6, 1.3e6}, {-1e-9, 1e-9}, {5.0, 5.001}}) {
    for (int wanted : {1, 4, 8}) {
      const std::vector<double> ticks = axis_ticks(low, high, wanted, false);
      CHECK(ticks.size() <= static_cast<size_t>(wanted) + 2);
      for (double tick : ticks) CHECK((tick >= low - 1e-12 && tick <= high * (1 + 1e-12)));
      if (wanted > 1) CHECK(ticks.size() >= 2);
    }
  }
  CHECK(tick_label(0) == "0");
  CHECK(tick_label(0.25) == "0.25");
  CHECK(tick_label(3e-4) == "3e-4");
  CHECK(tick_label(1e-3) == "0.001");
  CHECK(tick_label(15000) == "15k");
  CHECK(tick_label(-2.5e6) == "-2.5M");
  CHECK(tick_label(1e9) == "1e9");
}
TEST_CASE("plot: bands lie around their lines, and a page colours them") {
  Plot plot{.title = "difference"};
  plot.series = {{"a", {0, 1, 2}, {1, 2, 1}, {0, 1, 0}, {2, 3, 2}, "c-base"}};
  const std::string svg = to_svg(plot);
  CHECK(well_formed(svg));
  CHECK(count(svg, "<polygon") == 1);
  const auto end = svg.find("<polyline");
  REQUIRE(svg.find("<polygon") < end);  // below the line
  plot.on_page = plot.zero = true;
  const std::string page = to_inline_svg(plot);
  CHECK(well_formed(page));
  CHECK(page.find("#") == std::string::npos);  // no colours
  CHECK(page.find("width='720'") == std::string::npos);
  CHECK(count(page, "class='c-base'") == 2);
  CHECK(count(page, "class='zero'") == 1);
  plot.series[0].low.pop_back();
  CHECK_THROWS_WITH_AS(to_svg(plot), doctest::Contains("not as long"), Error);
}
