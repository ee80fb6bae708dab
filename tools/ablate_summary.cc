#include "tools/ablate_summary.h"

#include <algorithm>
#include <functional>

#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

using Figure = std::function<double(const RunRecord&)>;

double final_text(const RunRecord& record) { return record.curve.back().text_bits; }
double final_image(const RunRecord& record) { return record.curve.back().image_bits; }

std::vector<double> figures(const std::vector<const RunRecord*>& runs, const Figure& figure) {
  std::vector<double> values;
  for (const RunRecord* run : runs) values.push_back(figure(*run));
  return values;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Records stand seed by seed (Study::runs), so these come in the order of the seeds.
std::vector<const RunRecord*> runs_at(const std::vector<RunRecord>& records, size_t variant, double rate) {
  std::vector<const RunRecord*> runs;
  for (const RunRecord& record : records)
    if (record.run.variant == variant && record.run.learning_rate == rate) runs.push_back(&record);
  return runs;
}

VariantSummary best_rate(const Study& study, const std::vector<RunRecord>& records, size_t variant) {
  VariantSummary best;
  for (double rate : study.learning_rates) {
    const auto runs = runs_at(records, variant, rate);
    const double bits = mean_of(figures(runs, final_image));
    if (!best.runs.empty() && bits >= best.image_bits) continue;
    best.learning_rate = rate;
    best.runs = runs;
    best.image_bits = bits;
  }
  best.text_bits = mean_of(figures(best.runs, final_text));
  best.image_deviation = deviation_of(figures(best.runs, final_image));
  best.training_tokens_per_second =
      median(figures(best.runs, [](const RunRecord& r) { return r.training_tokens_per_second; }));
  best.decode_tokens_per_second =
      median(figures(best.runs, [](const RunRecord& r) { return r.decode_tokens_per_second; }));
  return best;
}

}  // namespace

std::vector<VariantSummary> summarise(const Study& study, const std::vector<RunRecord>& records) {
  check(records.size() == study.runs().size(), ErrorKind::internal, "{} of {} runs", records.size(),
        study.runs().size());
  std::vector<VariantSummary> summaries;
  for (size_t i = 0; i < study.variants.size(); ++i) summaries.push_back(best_rate(study, records, i));
  const VariantSummary& base = summaries[study.base_variant];
  std::vector<Comparison*> comparisons;
  std::vector<double> p;
  for (size_t i = 0; i < summaries.size(); ++i) {
    VariantSummary& summary = summaries[i];
    summary.image.difference =
        paired_difference(figures(summary.runs, final_image), figures(base.runs, final_image));
    summary.text.difference =
        paired_difference(figures(summary.runs, final_text), figures(base.runs, final_text));
    if (i == study.base_variant) continue;
    for (Comparison* comparison : {&summary.image, &summary.text}) {
      comparisons.push_back(comparison);
      p.push_back(comparison->difference.p);
    }
  }
  const auto adjusted = holm(p);
  for (size_t i = 0; i < comparisons.size(); ++i) comparisons[i]->adjusted_p = adjusted[i];
  return summaries;
}

std::string summary_csv(const Study& study, const std::vector<RunRecord>& records,
                        const std::vector<VariantSummary>& summaries) {
  std::string table =
      "variant,learning_rate,seed,best_rate,steps,text_bits,image_bits,training_tokens_per_second,"
      "decode_tokens_per_second,cache_bytes,flops\n";
  for (const RunRecord& record : records) {
    const StudyVariant& variant = study.variants[record.run.variant];
    const auto estimate = transformer::estimate(variant.config, {});
    std::string name = variant.name;
    for (size_t at = 0; (at = name.find('"', at)) != std::string::npos; at += 2) name.insert(at, 1, '"');
    table += fmt::format(
        "\"{}\",{},{},{},{},{},{},{:.6g},{:.6g},{},{:.6g}\n", name, record.run.learning_rate, record.run.seed,
        summaries[record.run.variant].learning_rate == record.run.learning_rate ? 1 : 0,
        record.curve.back().steps, final_text(record), final_image(record), record.training_tokens_per_second,
        record.decode_tokens_per_second, record.cache_bytes, estimate.prefill_flops + estimate.image_flops);
  }
  return table;
}

}  // namespace dalle1::tools
