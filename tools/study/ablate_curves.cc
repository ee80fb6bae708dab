#include <algorithm>

#include "core/image/plot.h"
#include "core/text/markup.h"
#include "tools/study/ablate_page.h"
#include "tools/study/ablate_report.h"

namespace dalle1::tools {
namespace {

void add(PlotSeries& series, double x, const std::vector<double>& values) {
  series.x.push_back(x);
  series.y.push_back(mean_of(values));
  series.low.push_back(*std::min_element(values.begin(), values.end()));
  series.high.push_back(*std::max_element(values.begin(), values.end()));
}

PlotSeries named(const ReportInputs& inputs, size_t variant) {
  return {.name = inputs.study.variants[variant].name,
          .x = {},
          .y = {},
          .css_class = colour_of(inputs.study, variant)};
}

Plot plot_of(std::string title, std::string x_label) {
  Plot plot = {.title = std::move(title), .x_label = std::move(x_label), .y_label = "bits per token"};
  plot.width = 560, plot.height = 350;
  plot.on_page = true;
  return plot;
}

PlotSeries losses(const ReportInputs& inputs, size_t variant, double LossPoint::*figure) {
  PlotSeries series = named(inputs, variant);
  const auto& runs = inputs.summaries[variant].runs;
  for (size_t i = 0; !runs.empty() && i < runs.front()->curve.size(); ++i) {
    std::vector<double> values;
    for (const RunRecord* run : runs) values.push_back(run->curve.at(i).*figure);
    add(series, static_cast<double>(runs.front()->curve[i].steps), values);
  }
  return series;
}

// With the base's run of the same seed.
std::vector<std::pair<const RunRecord*, const RunRecord*>> pairs_of(const ReportInputs& inputs,
                                                                    size_t variant) {
  std::vector<std::pair<const RunRecord*, const RunRecord*>> pairs;
  for (const RunRecord* run : inputs.summaries[variant].runs)
    for (const RunRecord* base : inputs.summaries[inputs.study.base_variant].runs)
      if (run->run.seed == base->run.seed) pairs.emplace_back(run, base);
  return pairs;
}

PlotSeries differences(const ReportInputs& inputs, size_t variant) {
  PlotSeries series = named(inputs, variant);
  const auto pairs = pairs_of(inputs, variant);
  for (size_t i = 0; !pairs.empty() && i < pairs.front().first->curve.size(); ++i) {
    std::vector<double> values;
    for (const auto& [run, base] : pairs)
      values.push_back(run->curve.at(i).image_bits - base->curve.at(i).image_bits);
    add(series, static_cast<double>(pairs.front().first->curve[i].steps), values);
  }
  return series;
}

PlotSeries rows(const ReportInputs& inputs, size_t variant) {
  PlotSeries series = named(inputs, variant);
  const auto pairs = pairs_of(inputs, variant);
  for (size_t row = 0; !pairs.empty() && row < pairs.front().first->parts.rows.size(); ++row) {
    std::vector<double> values;
    for (const auto& [run, base] : pairs) values.push_back(run->parts.rows[row] - base->parts.rows[row]);
    add(series, static_cast<double>(row + 1), values);
  }
  return series;
}

std::string parts_table(const ReportInputs& inputs) {
  HtmlTable table({{"variant"}, {"flat cells"}, {"from base"}, {"edge cells"}, {"from base"}});
  const VariantSummary& base = inputs.summaries[inputs.study.base_variant];
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const VariantSummary& summary = inputs.summaries[i];
    if (summary.runs.empty()) continue;
    const bool compared = i != inputs.study.base_variant && !base.runs.empty();
    const auto difference = [&](double own, double other) {
      return compared ? fmt::format("{:+.4f}", own - other) : std::string();
    };
    const PlotSeries series = named(inputs, i);
    table.row(
        {fmt::format("<span class=\"key {}\"></span>{}", series.css_class, text::escape_markup(series.name)),
         fmt::format("{:.4f}", summary.flat_bits), difference(summary.flat_bits, base.flat_bits),
         fmt::format("{:.4f}", summary.edge_bits), difference(summary.edge_bits, base.edge_bits)},
        compared ? "" : "base");
  }
  return table.html();
}

}  // namespace

std::string ablation_curves(const ReportInputs& inputs) {
  Plot image = plot_of("Image", "steps"), text = plot_of("Text", "steps");
  Plot difference = plot_of("Image, difference from the base", "steps");
  Plot by_row = plot_of("Image by row of the grid, difference from the base", "row");
  difference.zero = by_row.zero = true;
  std::string legend;
  std::vector<size_t> order;  // the base on top
  for (size_t i = 0; i < inputs.summaries.size(); ++i)
    if (i != inputs.study.base_variant) order.push_back(i);
  order.push_back(inputs.study.base_variant);
  double flat_share = 0;
  for (size_t i : order) {
    const PlotSeries series = named(inputs, i);
    legend += fmt::format("<span><span class=\"key {}\"></span>{}</span>", series.css_class,
                          text::escape_markup(series.name));
    if (inputs.summaries[i].runs.empty()) continue;
    flat_share = inputs.summaries[i].runs.front()->parts.flat_share;
    image.series.push_back(losses(inputs, i, &LossPoint::image_bits));
    text.series.push_back(losses(inputs, i, &LossPoint::text_bits));
    if (i == inputs.study.base_variant) continue;
    difference.series.push_back(differences(inputs, i));
    by_row.series.push_back(rows(inputs, i));
  }
  return "<h2>Held-out loss</h2>\n<p class=\"note\">Lines are means over seeds at each variant's learning "
         "rate, bands "
         "reach from the lowest to the highest seed; differences are taken within a seed. Averaged "
         "parameters.</p>\n"
         "<div class=\"legend\">" +
         legend + "</div>\n<div class=\"plots\">\n" + to_inline_svg(difference) + to_inline_svg(image) +
         to_inline_svg(by_row) + to_inline_svg(text) + "</div>\n" +
         fmt::format(
             "<h3>Flat and edge cells</h3>\n<p class=\"note\">Final image bits per token of cells whose "
             "token is "
             "that of the cell to the left or above (flat, {:.0f}% of the held-out cells) and of the others "
             "(edge), means over seeds.</p>\n",
             100 * flat_share) +
         parts_table(inputs);
}

}  // namespace dalle1::tools
