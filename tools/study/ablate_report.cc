#include "tools/study/ablate_report.h"

#include <algorithm>
#include <cmath>

#include "core/text/markup.h"
#include "tools/program/progress.h"
#include "tools/study/ablate_masks.h"
#include "tools/study/ablate_page.h"
#include "tools/study/ablate_plot.h"
#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

constexpr int kMaskSide = 264;

std::string key(const Study& study, size_t variant) {
  return fmt::format("<span class=\"key {}\"></span>{}", colour_of(study, variant),
                     text::escape_markup(study.variants[variant].name));
}

std::string verdict(const Comparison& comparison, const VariantSummary& summary, const Study& study) {
  std::string words = "not larger than the seeds' spread";
  if (summary.runs.empty()) return "diverged with every seed";
  if (comparison.difference.pairs < 2) {
    words = comparison.difference.pairs == 1 ? "one seed: no claim" : "no seed in common with the base";
  } else if (comparison.larger_than_spread()) {
    words = comparison.difference.mean < 0 ? "better than the base" : "worse than the base";
  }
  if (summary.diverged > 0)
    words += fmt::format("; {} of {} seeds diverged", summary.diverged, study.seeds.size());
  return words;
}

// Of a comparison's interval and verdict.
const char* class_of(const Comparison& comparison) {
  if (!comparison.larger_than_spread()) return "";
  return comparison.difference.mean < 0 ? "better" : "worse";
}

std::string p_text(double p) { return p < 0.001 ? "< 0.001" : fmt::format("{:.3f}", p); }

std::string plural(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string fact(const char* name, const std::string& words) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, words);
}

std::string introduction(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  const auto& config = study.variants.front().config;
  const auto options = train_options_of(study, study.runs().front());
  const auto training = training_of(study, study.runs().front());
  std::string rates;
  for (double rate : study.learning_rates) rates += fmt::format("{}{}", rates.empty() ? "" : ", ", rate);
  return fmt::format(
             "<header><h1>Attention patterns</h1>\n<p class=\"note\">{}: {} of one "
             "transformer</p></header>\n",
             text::escape_markup(study.name), plural(study.variants.size(), "variant")) +
         "<dl class=\"facts panel\">\n" +
         fact("Transformer",
              fmt::format("{} layers of {}, {}, {:.2f}M parameters", config.layers, config.width,
                          plural(config.heads, "head"), double(transformer::parameter_count(config)) / 1e6)) +
         fact("Sequence", fmt::format("{} text slots, then {}&times;{} cells of {} codes", config.text_length,
                                      config.grid, config.grid, grouped(config.image_vocab))) +
         fact("Each run", fmt::format("{} steps of {} samples, {} tokens", grouped(options.steps),
                                      training.batch * options.accumulate, grouped(study.tokens_of_run()))) +
         fact("Runs", fmt::format("{}: {}, learning rates {}", study.runs().size(),
                                  plural(study.seeds.size(), "seed"), rates)) +
         fact("Data", fmt::format("{}: {} samples, {} of them held out", text::escape_markup(inputs.data),
                                  grouped(static_cast<int64_t>(inputs.data_samples)), training.validation)) +
         fact("Device", text::escape_markup(inputs.device)) + "</dl>\n";
}

// "A (-0.0123), B (-0.0042)" of the variants that `wanted` picks.
template <typename Wanted>
std::string listed(const ReportInputs& inputs, Comparison VariantSummary::*loss, const Wanted& wanted) {
  std::string words;
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const Comparison& one = inputs.summaries[i].*loss;
    if (i == inputs.study.base_variant || !wanted(one)) continue;
    words += words.empty() ? "" : ", ";
    const std::string mean =
        one.difference.pairs > 0 ? fmt::format(" <small>{:+.4f}</small>", one.difference.mean) : "";
    words += fmt::format("<span class=\"name\">{}{}</span>", key(inputs.study, i), mean);
  }
  return words;
}

std::string finding(const ReportInputs& inputs, const char* name, Comparison VariantSummary::*loss) {
  std::string html =
      fmt::format("<h3>{} loss against {}</h3>\n", name, key(inputs.study, inputs.study.base_variant));
  const auto line = [&](const char* words, const std::string& variants) {
    if (!variants.empty()) html += fmt::format("<p>{}: {}</p>\n", words, variants);
  };
  line("<span class=\"good\">Better</span>", listed(inputs, loss, [](const Comparison& c) {
         return c.larger_than_spread() && c.difference.mean < 0;
       }));
  line("<span class=\"bad\">Worse</span>", listed(inputs, loss, [](const Comparison& c) {
         return c.larger_than_spread() && c.difference.mean > 0;
       }));
  line("Not larger than the seeds' spread", listed(inputs, loss, [](const Comparison& c) {
         return c.difference.pairs > 1 && !c.larger_than_spread();
       }));
  line("Too few seeds for any claim",
       listed(inputs, loss, [](const Comparison& c) { return c.difference.pairs <= 1; }));
  return html;
}

std::string findings(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  std::string html;
  if (study.seeds.size() < 5 || study.learning_rates.size() < 2) {
    html +=
        "<div class=\"panel warning\"><p><strong>This study is too small to claim anything:</strong> at "
        "least "
        "five seeds and two learning rates are needed.</p></div>\n";
  }
  html += "<h2>What differs</h2>\n<div class=\"panel findings\">" +
          finding(inputs, "Image", &VariantSummary::image) + finding(inputs, "Text", &VariantSummary::text) +
          "</div>\n<p class=\"note\">Bits per token, variant minus base; below 0 the variant is better. ";
  if (study.variants.front().config.grid < 32) {
    html += fmt::format(
        "Measured on a grid of {0}&times;{0} with a small model: patterns may rank otherwise at "
        "32&times;32 and more layers. ",
        study.variants.front().config.grid);
  }
  return html + "Drawn pictures have flat areas, which favours local patterns.</p>\n";
}

std::string difference_table(const ReportInputs& inputs, bool is_image, double reach) {
  const Study& study = inputs.study;
  HtmlTable table(
      {{"variant"},
       {"learning rate"},
       {is_image ? "image bits" : "text bits"},
       {"difference"},
       {"95% interval"},
       {"", false,
        fmt::format(
            "<span class=\"scale\"><span>&minus;{0:.3g}</span><span>0</span><span>+{0:.3g}</span></span>",
            reach)},
       {"p (Holm)"},
       {"verdict", true}});
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const VariantSummary& summary = inputs.summaries[i];
    const Comparison& one = is_image ? summary.image : summary.text;
    const PairedDifference& d = one.difference;
    const std::string rate = fmt::format("{}", summary.learning_rate);
    const std::string bits =
        summary.runs.empty() ? "" : fmt::format("{:.4f}", is_image ? summary.image_bits : summary.text_bits);
    if (i == study.base_variant) {
      const std::string words = summary.diverged > 0 ? verdict(one, summary, study) : "";
      table.row({key(study, i), rate, bits, "", "", "", "", "base" + (words.empty() ? "" : "; " + words)},
                "base");
      continue;
    }
    const bool interval = d.pairs >= 2;
    const char* css = class_of(one);
    const std::string words = verdict(one, summary, study);
    table.row({key(study, i), rate, bits, d.pairs > 0 ? fmt::format("{:+.4f}", d.mean) : "",
               interval ? fmt::format("{:+.4f} to {:+.4f}", d.low, d.high) : "",
               d.pairs > 0 ? interval_bar({d.low, d.mean, d.high}, reach, css) : "",
               interval ? text::escape_markup(p_text(one.adjusted_p)) : "",
               *css == 0 ? words
                         : fmt::format("<span class=\"{}\">{}</span>", *css == 'b' ? "good" : "bad", words)});
  }
  return table.html();
}

std::string differences(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  std::string html = fmt::format(
      "<h2>Differences from {}</h2>\n<p class=\"note\">Final held-out bits per token, variant minus base "
      "with "
      "the same seed, so both saw the same batches in the same order from the same initial values. 95% t "
      "intervals of the mean over seeds, each alone; p after Holm's correction over all {} comparisons of "
      "image and text. A difference counts as larger than the seeds' spread when that p is below 0.05. Each "
      "variant, the base too, stands at its own best learning rate.</p>\n",
      key(study, study.base_variant), 2 * (study.variants.size() - 1));
  for (const bool is_image : {true, false}) {
    double reach = 1e-9;
    for (const VariantSummary& summary : inputs.summaries) {
      const PairedDifference& d = (is_image ? summary.image : summary.text).difference;
      reach = std::max({reach, std::abs(d.low), std::abs(d.high)});
    }
    html += fmt::format("<h3>{}</h3>\n", is_image ? "Image loss" : "Text loss") +
            difference_table(inputs, is_image, reach);
  }
  return html;
}

std::string rates(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  std::vector<HtmlTable::Column> columns = {{"variant"}};
  for (double rate : study.learning_rates) columns.push_back({fmt::format("at {}", rate)});
  HtmlTable table(columns);
  for (size_t i = 0; i < study.variants.size(); ++i) {
    std::vector<std::string> cells = {key(study, i)};
    for (double rate : study.learning_rates) {
      const RateSummary summary = summarise_rate(inputs.records, i, rate);
      const bool all = summary.diverged == static_cast<int>(study.seeds.size());
      std::string words =
          all ? "" : fmt::format("{:.4f} &plusmn; {:.4f}", summary.image_bits, summary.deviation);
      if (summary.diverged > 0)
        words += fmt::format(" <span class=\"bad\">{} diverged</span>", summary.diverged);
      const bool chosen = rate == inputs.summaries[i].learning_rate;
      cells.push_back(chosen ? "<strong>" + words + "</strong>" : words);
    }
    table.row(cells, i == study.base_variant ? "base" : "");
  }
  const auto at_end =
      std::count_if(inputs.summaries.begin(), inputs.summaries.end(), [&](const VariantSummary& summary) {
        const auto [low, high] =
            std::minmax_element(study.learning_rates.begin(), study.learning_rates.end());
        return summary.learning_rate == *low || summary.learning_rate == *high;
      });
  const std::string edge =
      study.learning_rates.size() < 2 || at_end == 0
          ? ""
          : fmt::format(
                " {} of {} variants stand at an end of the range tried: a better rate may lie beyond it.",
                at_end, study.variants.size());
  return "<h2>Learning rates</h2>\n<p class=\"note\">Final held-out image bits per token, mean and deviation "
         "over "
         "seeds. Chosen (bold) is the rate with the fewest diverged runs, then the lowest mean, on the "
         "held-out "
         "samples that are reported." +
         edge + "</p>\n" + table.html();
}

std::string diverged_runs(const ReportInputs& inputs) {
  HtmlTable table({{"variant"}, {"learning rate"}, {"seed"}, {"loss no longer finite after"}});
  bool any = false;
  for (const RunRecord& record : inputs.records) {
    if (!record.diverged) continue;
    any = true;
    table.row({key(inputs.study, record.run.variant), fmt::format("{}", record.run.learning_rate),
               fmt::format("{}", record.run.seed), plural(static_cast<size_t>(*record.diverged), "step")});
  }
  if (!any) return "";
  return "<h2>Diverged runs</h2>\n<p class=\"note\">They are in no mean, and their seeds in no "
         "difference.</p>\n" +
         table.html();
}

std::string costs(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  HtmlTable table({{"variant"},
                   {"ones"},
                   {"of dense"},
                   {"training tokens/s"},
                   {"decoded tokens/s"},
                   {"cache bytes a candidate"},
                   {"of base"},
                   {"FLOPs a picture"},
                   {"of base"}});
  const auto flops = [](const transformer::Estimate& e) { return e.prefill_flops + e.image_flops; };
  const auto base = transformer::estimate(study.variants[study.base_variant].config, {});
  for (size_t i = 0; i < inputs.summaries.size(); ++i) {
    const VariantSummary& summary = inputs.summaries[i];
    const auto& config = study.variants[i].config;
    const auto own = transformer::estimate(config, {});
    const int64_t length = config.text_length + config.cells(), ones = ones_of(config);
    const double dense = 0.5 * static_cast<double>(length * (length + 1)) * config.layers;
    const auto speed = [&](double value) { return summary.runs.empty() ? "" : grouped(std::llround(value)); };
    table.row({key(study, i), grouped(ones), fmt::format("{:.1f}%", 100.0 * double(ones) / dense),
               speed(summary.training_tokens_per_second), speed(summary.decode_tokens_per_second),
               grouped(static_cast<int64_t>(own.cache)),
               fmt::format("{:.2f}", double(own.cache) / double(base.cache)),
               grouped(std::llround(flops(own))), fmt::format("{:.3f}", flops(own) / flops(base))},
              i == study.base_variant ? "base" : "");
  }
  return "<h2>Cost</h2>\n<p class=\"note\">Speeds are medians over seeds on the device above, as busy as it "
         "was: "
         "training counts text slots and grid cells, decoding grid cells with the prompt's time. Cache: keys "
         "and "
         "values in f32 that one candidate keeps. FLOPs: products and attention of one picture, prompt "
         "included; a multiplication and an addition count as two.</p>\n" +
         table.html();
}

std::string masks(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  std::string html =
      "<h2>Patterns</h2>\n<p class=\"note\">White where a query (down) sees a key (across). Text stands "
      "before "
      "the dashed lines, the picture's rows after them.</p>\n<div class=\"cards\">\n";
  for (size_t i = 0; i < study.variants.size(); ++i) {
    const auto& config = study.variants[i].config;
    const double text = 100.0 * config.text_length / (config.text_length + config.cells());
    html += fmt::format("<div class=\"panel\"><h3>{}</h3><div class=\"row\">\n", key(study, i));
    for (const PatternUse& use : patterns_of(config)) {
      const std::string words =
          fmt::format("{}, layer{} {}: {} ones", use.entry, use.layers.size() == 1 ? "" : "s",
                      layer_list(use.layers), grouped(use.ones));
      html += fmt::format(
          "<figure><div class=\"mask\" style=\"--text: {:.2f}%\">{}</div><figcaption>{}</figcaption>"
          "</figure>\n",
          text, picture_html(enlarged_picture_of(use.pattern, kMaskSide), "", words),
          text::escape_markup(words));
    }
    html += "</div></div>\n";
  }
  return html + "</div>\n";
}

std::string samples(const ReportInputs& inputs) {
  const Study& study = inputs.study;
  const StudySamples& options = study.samples;
  if (options.prompts.empty()) return "";
  if (inputs.pictures.empty())
    return "<h2>Samples</h2>\n<p class=\"note\">Drawn, but not shown: no dVAE was given. The same command "
           "with "
           "--resume and the shards' --dvae shows them.</p>\n";
  std::string html = fmt::format(
      "<h2>Samples</h2>\n<p class=\"note\">Of each variant's first seed at its learning rate: the first {} "
      "of "
      "each prompt, none left out, drawn with the same random numbers (temperature {}, top-p {}).</p>\n",
      options.candidates, options.temperature, options.top_p);
  for (size_t prompt = 0; prompt < options.prompts.size(); ++prompt) {
    html +=
        fmt::format("<h3>{}</h3>\n<div class=\"samples\">\n", text::escape_markup(options.prompts[prompt]));
    for (size_t i = 0; i < inputs.pictures.size(); ++i) {
      html += fmt::format("<div><p>{}</p><div class=\"row\">", key(study, i));
      if (inputs.pictures[i].empty()) html += "diverged with every seed";
      for (size_t n = 0; !inputs.pictures[i].empty() && n < static_cast<size_t>(options.candidates); ++n)
        html += picture_html(inputs.pictures[i].at(prompt * options.candidates + n), "sample",
                             options.prompts[prompt]);
      html += "</div></div>\n";
    }
    html += "</div>\n";
  }
  return html;
}

}  // namespace

std::string colour_of(const Study& study, size_t variant) {
  if (variant == study.base_variant) return "c-base";
  return fmt::format("c{}", (variant - (variant > study.base_variant ? 1 : 0)) % 10);
}

std::string ablation_report(const ReportInputs& inputs) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
         "style-src "
         "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, "
         "initial-scale=1\">\n<link rel=\"icon\" "
         "href=\"data:,\">\n<title>Attention patterns: " +
         text::escape_markup(inputs.study.name) + "</title>\n" + page_style() + "</head>\n<body>\n" +
         introduction(inputs) + findings(inputs) + differences(inputs) + ablation_curves(inputs) +
         costs(inputs) + masks(inputs) + rates(inputs) + diverged_runs(inputs) + samples(inputs) +
         "</body>\n</html>\n";
}

std::string ablation_table(const Study& study, const std::vector<VariantSummary>& summaries) {
  std::string table =
      "| variant | learning rate | image bits per token | difference (95% interval) | p (Holm) | verdict | "
      "cache "
      "bytes | FLOPs |\n|---|---|---|---|---|---|---|---|\n";
  for (size_t i = 0; i < summaries.size(); ++i) {
    const VariantSummary& summary = summaries[i];
    const PairedDifference& d = summary.image.difference;
    const bool base = i == study.base_variant, interval = !base && d.pairs >= 2;
    const auto estimate = transformer::estimate(study.variants[i].config, {});
    std::string difference = base || d.pairs == 0 ? "" : fmt::format("{:+.4f}", d.mean);
    if (interval) difference += fmt::format(" ({:+.4f} to {:+.4f})", d.low, d.high);
    std::string words = verdict(summary.image, summary, study);
    if (base)
      words = summary.diverged > 0 ? fmt::format("base; {} seeds diverged", summary.diverged) : "base";
    table += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", study.variants[i].name,
                         summary.learning_rate,
                         summary.runs.empty() ? "" : fmt::format("{:.4f}", summary.image_bits), difference,
                         interval ? p_text(summary.image.adjusted_p) : "", words,
                         grouped(static_cast<int64_t>(estimate.cache)),
                         grouped(std::llround(estimate.prefill_flops + estimate.image_flops)));
  }
  return table;
}

}  // namespace dalle1::tools
