#include "core/train/curves.h"

#include <map>

#include "core/image/plot.h"
#include "core/io/atomic_file.h"
#include "core/train/metrics.h"

namespace dalle1 {
namespace {

constexpr size_t kFewestPoints = 2;  // fewer make no line

// Keys whose last part is the same share a plot: loss and validation_loss, say.
std::string family(const std::string& key) {
  const auto cut = key.rfind('_');
  return cut == std::string::npos ? key : key.substr(cut + 1);
}

}  // namespace

void write_metrics_curves(const std::filesystem::path& jsonl, const std::filesystem::path& svg) {
  std::map<std::string, PlotSeries> series;
  for (const auto& row : read_metrics(jsonl)) {
    for (const auto& [key, value] : row.items()) {
      if (key == "step" || !value.is_number()) continue;
      PlotSeries& line = series[key];
      line.name = key;
      line.x.push_back(row["step"].get<double>());
      line.y.push_back(value.get<double>());
    }
  }
  std::map<std::string, Plot> plots;
  for (auto& [key, line] : series) {
    if (line.x.size() < kFewestPoints) continue;
    Plot& plot = plots[family(key)];
    plot.title = family(key);
    plot.x_label = "step";
    plot.width = 520;
    plot.height = 300;
    plot.series.push_back(std::move(line));
  }
  std::vector<Plot> ordered;
  if (auto loss = plots.extract("loss"); !loss.empty()) ordered.push_back(std::move(loss.mapped()));
  for (auto& [name, plot] : plots) ordered.push_back(std::move(plot));
  if (!ordered.empty()) write_file_atomically(svg, to_svg(ordered, 2));
}

}  // namespace dalle1
