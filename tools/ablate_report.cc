#include "tools/ablate_report.h"

#include <algorithm>
#include <cmath>

#include "core/image/png.h"
#include "tools/ablate_masks.h"
#include "tools/ablate_plot.h"
#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

constexpr int kMaskSide = 192;

constexpr const char* kStyle = R"(<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1c1e21; --quiet: #5f6670; --line: #d9dde3; --panel: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15171a; --ink: #e6e8eb; --quiet: #9aa3ad; --line: #343a41; --panel: #1e2125; }
}
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: .8rem 0 .3rem; }
p.note, figcaption { color: var(--quiet); } figcaption { font-size: .8rem; max-width: 12rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, td.words { text-align: left; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; } .row > * { margin: 0; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
svg.plot { width: 100%; height: auto; background: var(--panel); border-radius: 6px; }
svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; } svg text.title { fill: var(--ink); font-size: 14px; }
svg .grid { stroke: var(--line); } svg polyline { fill: none; stroke-width: 1.8; }
svg polygon { stroke: none; opacity: .16; } svg.interval { width: 12rem; height: 1rem; }
.interval .zero { stroke: var(--quiet); } .interval .reach { stroke: var(--ink); stroke-width: 2; }
.interval circle { fill: var(--ink); } img { display: block; border-radius: 4px; image-rendering: pixelated; }
img.mask { width: 10rem; border: 1px solid var(--line); } img.sample { width: 6rem; image-rendering: auto; }
.key { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-right: .4em; }
)";

constexpr const char* kColours[] = {"#3b78c2", "#d0662e", "#3c9a57", "#b84a8b", "#8a6fd1",
                                    "#b38a1d", "#2f9aa0", "#c94a4a", "#7a8490", "#86a136"};

std::string style() {
  std::string text = kStyle;
  for (size_t i = 0; i < std::size(kColours); ++i) {
    text += fmt::format(
        ".line-{0} {{ stroke: {1}; }} .band-{0} {{ fill: {1}; }} .key-{0} {{ background: {1}; }}\n", i,
        kColours[i]);
  }
  return text + "</style>\n";
}

std::string base64(const std::vector<uint8_t>& bytes) {
  static const char* const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = uint32_t{bytes[i]} << 16;
    if (left > 1) word |= uint32_t{bytes[i + 1]} << 8;
    if (left > 2) word |= bytes[i + 2];
    for (size_t digit = 0; digit < 4; ++digit)
      text += digit <= left ? digits[(word >> (18 - 6 * digit)) & 63] : '=';
  }
  return text;
}

std::string picture(const Image& image, const char* kind, const std::string& words) {
  return fmt::format("<img class=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{}\">", kind,
                     escape_html(words), base64(encode_png(image)));
}

std::string key(size_t variant, const std::string& name) {
  return fmt::format("<span class=\"key key-{}\"></span>{}", variant % 10, escape_html(name));
}

std::string verdict(const Comparison& comparison) {
  if (comparison.difference.pairs < 2) return "one seed: no claim";
  if (!comparison.larger_than_spread()) return "not larger than the seeds' spread";
  return comparison.difference.mean < 0 ? "better than the base" : "worse than the base";
}

std::string p_text(double p) { return p < 0.001 ? "&lt; 0.001" : fmt::format("{:.3f}", p); }

std::string introduction(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  const auto& config = study.variants.front().config;
  const auto options = train_options_of(study, study.runs().front());
  const auto training = training_of(study, study.runs().front());
  std::string html = fmt::format(
      "<h1>Attention patterns: {}</h1>\n<p>{} variants of one transformer ({} layers of {}, {} heads, {} "
      "text "
      "slots, {}x{} grid, {} image codes, {:.2f}M parameters), each trained for {} steps of {} samples with "
      "{} "
      "seed{} and {} learning rate{} on {} ({} samples, {} of them held out). Device: {}.</p>\n",
      escape_html(study.name), study.variants.size(), config.layers, config.width, config.heads,
      config.text_length, config.grid, config.grid, config.image_vocab,
      double(transformer::parameter_count(config)) / 1e6, options.steps, training.batch * options.accumulate,
      study.seeds.size(), study.seeds.size() == 1 ? "" : "s", study.learning_rates.size(),
      study.learning_rates.size() == 1 ? "" : "s", escape_html(inputs.data), inputs.data_samples,
      training.validation, escape_html(inputs.device));
  if (study.seeds.size() < 5 || study.learning_rates.size() < 2)
    html +=
        "<p><strong>This study is too small to claim anything:</strong> at least five seeds and two learning "
        "rates are needed.</p>\n";
  html +=
      "<p class=\"note\">Within a seed all variants start from the same values and see the same batches in "
      "the same order. Flat art favours local patterns.</p>\n";
  return html;
}

std::string masks(const ReportInputs& inputs) {
  std::string html =
      "<h2>Patterns</h2>\n<p class=\"note\">White where a query (down) sees a key (across); text "
      "positions come first.</p>\n";
  for (size_t i = 0; i < inputs.study.variants.size(); ++i) {
    const StudyVariant& variant = inputs.study.variants[i];
    html += fmt::format("<h3>{}</h3><div class=\"row\">\n", key(i, variant.name));
    for (const PatternUse& use : patterns_of(variant.config)) {
      const std::string words =
          fmt::format("{}: layer{} {}, {} ones", use.entry, use.layers.size() == 1 ? "" : "s",
                      layer_list(use.layers), use.ones);
      html += fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                          picture(picture_of(use.pattern, kMaskSide), "mask", words), escape_html(words));
    }
    html += "</div>\n";
  }
  return html;
}

BandSeries band(const std::string& name, const VariantSummary& summary, double CurvePoint::*figure) {
  BandSeries series;
  series.name = name;
  const auto& first = summary.runs.front()->curve;
  for (size_t i = 0; i < first.size(); ++i) {
    std::vector<double> values;
    for (const RunRecord* run : summary.runs) values.push_back(run->curve.at(i).*figure);
    series.x.push_back(static_cast<double>(first[i].steps));
    series.middle.push_back(mean_of(values));
    series.low.push_back(*std::min_element(values.begin(), values.end()));
    series.high.push_back(*std::max_element(values.begin(), values.end()));
  }
  return series;
}

std::string curves(const ReportInputs& inputs) {
  std::vector<BandSeries> image, text;
  std::string legend;
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const std::string& name = inputs.study.variants[i].name;
    image.push_back(band(name, inputs.summaries[i], &CurvePoint::image_bits));
    text.push_back(band(name, inputs.summaries[i], &CurvePoint::text_bits));
    legend += fmt::format("<span>{}</span>", key(i, name));
  }
  return "<h2>Held-out loss</h2>\n<p class=\"note\">Mean over seeds at each variant's learning rate; bands "
         "from the "
         "lowest to the highest seed. Averaged parameters.</p>\n<div class=\"row\">" +
         legend + "</div>\n<div class=\"curves\">\n" + band_plot("Image", "steps", "bits per token", image) +
         band_plot("Text", "steps", "bits per token", text) + "</div>\n";
}

std::string differences(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  double reach = 1e-9;
  for (const VariantSummary& summary : inputs.summaries)
    for (const Comparison* one : {&summary.image, &summary.text})
      reach = std::max({reach, std::abs(one->difference.low), std::abs(one->difference.high)});
  std::string html = fmt::format(
      "<h2>Differences from <em>{}</em></h2>\n<p class=\"note\">Final held-out bits per token, variant minus "
      "base "
      "with the same seed; below 0 the variant is better. 95% t intervals of the mean over seeds, of each "
      "difference alone; p after Holm's correction over all {} comparisons. A difference counts as larger "
      "than "
      "the seeds' spread when that p is below 0.05. Each variant, the base too, stands at the learning rate "
      "of "
      "its lowest mean image loss over seeds, chosen on the same held-out samples.</p>\n",
      escape_html(study.variants[study.base_variant].name), 2 * (study.variants.size() - 1));
  html +=
      "<div class=\"wide\"><table><tr><th>variant</th><th>rate</th><th>loss of</th><th>bits</th>"
      "<th>difference</th><th>95% interval</th><th></th><th>p (Holm)</th><th>verdict</th></tr>\n";
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const VariantSummary& summary = inputs.summaries[i];
    for (bool is_image : {true, false}) {
      const Comparison& one = is_image ? summary.image : summary.text;
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.4f}</td>",
                          key(i, study.variants[i].name), summary.learning_rate, is_image ? "image" : "text",
                          is_image ? summary.image_bits : summary.text_bits);
      if (i == study.base_variant) {
        html += "<td class=\"words\" colspan=\"5\">base</td></tr>\n";
        continue;
      }
      const PairedDifference& d = one.difference;
      const bool interval = d.pairs >= 2;
      html += fmt::format(
          "<td>{:+.4f}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td></tr>\n", d.mean,
          interval ? fmt::format("{:+.4f} to {:+.4f}", d.low, d.high) : "",
          interval_bar({d.low, d.mean, d.high}, reach), interval ? p_text(one.adjusted_p) : "", verdict(one));
    }
  }
  return html + "</table></div>\n";
}

std::string costs(const ReportInputs& inputs) {
  std::string html =
      "<h2>Cost</h2>\n<p class=\"note\">Speeds are medians over seeds on the machine named above, as busy as "
      "it was; "
      "training tokens count text slots and grid cells, decoding counts grid cells and includes the prompt. "
      "Cache: keys and values in f32 that one candidate keeps. FLOPs: of one picture, prompt included.</p>\n"
      "<div class=\"wide\"><table><tr><th>variant</th><th>training tokens/s</th><th>decoded tokens/s</th>"
      "<th>cache bytes</th><th>FLOPs</th></tr>\n";
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const VariantSummary& summary = inputs.summaries[i];
    const auto estimate = transformer::estimate(inputs.study.variants[i].config, {});
    html += fmt::format("<tr><td>{}</td><td>{:.0f}</td><td>{:.0f}</td><td>{}</td><td>{:.4g}</td></tr>\n",
                        key(i, inputs.study.variants[i].name), summary.training_tokens_per_second,
                        summary.decode_tokens_per_second, estimate.cache,
                        estimate.prefill_flops + estimate.image_flops);
  }
  return html + "</table></div>\n";
}

std::string samples(const ReportInputs& inputs) {
  if (inputs.pictures.empty()) return "";
  const StudySamples& options = inputs.study.samples;
  std::string html = fmt::format(
      "<h2>Samples</h2>\n<p class=\"note\">Of seed {} at each variant's learning rate: the first {} of each "
      "prompt, "
      "none left out, drawn with the same random numbers.</p>\n",
      inputs.study.seeds.front(), options.candidates);
  for (size_t prompt = 0; prompt < options.prompts.size(); ++prompt) {
    html += fmt::format("<h3>{}</h3>\n", escape_html(options.prompts[prompt]));
    for (size_t i = 0; i < inputs.pictures.size(); ++i) {
      html += fmt::format("<p>{}</p><div class=\"row\">", key(i, inputs.study.variants[i].name));
      for (int n = 0; n < options.candidates; ++n)
        html += picture(inputs.pictures[i].at(prompt * options.candidates + n), "sample",
                        options.prompts[prompt]);
      html += "</div>\n";
    }
  }
  return html;
}

}  // namespace

std::string ablation_report(const ReportInputs& inputs) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" "
         "href=\"data:,\">\n"
         "<title>Attention patterns: " +
         escape_html(inputs.study.name) + "</title>\n" + style() + "</head>\n<body>\n" +
         introduction(inputs) + differences(inputs) + curves(inputs) + costs(inputs) + masks(inputs) +
         samples(inputs) + "</body>\n</html>\n";
}

std::string ablation_table(const Study& study, const std::vector<VariantSummary>& summaries) {
  std::string table =
      "| variant | learning rate | image bits per token | difference (95% interval) | p (Holm) | verdict |\n"
      "|---|---|---|---|---|---|\n";
  for (size_t i = 0; i < summaries.size(); ++i) {
    const VariantSummary& summary = summaries[i];
    const PairedDifference& d = summary.image.difference;
    const bool base = i == study.base_variant, interval = !base && d.pairs >= 2;
    table += fmt::format("| {} | {} | {:.4f} | {} | {} | {} |\n", study.variants[i].name,
                         summary.learning_rate, summary.image_bits,
                         base ? ""
                              : fmt::format("{:+.4f}", d.mean) +
                                    (interval ? fmt::format(" ({:+.4f} to {:+.4f})", d.low, d.high) : ""),
                         interval ? fmt::format("{:.3f}", summary.image.adjusted_p) : "",
                         base ? "base" : verdict(summary.image));
  }
  return table;
}

}  // namespace dalle1::tools
