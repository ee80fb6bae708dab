#include "tools/study/ablate_summary.h"

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
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Records stand seed by seed (Study::runs), so these come in the order of the seeds.
std::vector<const RunRecord*> finished_at(const std::vector<RunRecord>& records, size_t variant, double rate,
                                          int& diverged) {
  std::vector<const RunRecord*> runs;
  diverged = 0;
  for (const RunRecord& record : records) {
    if (record.run.variant != variant || record.run.learning_rate != rate) continue;
    if (record.diverged)
      ++diverged;
    else
      runs.push_back(&record);
  }
  return runs;
}

VariantSummary best_rate(const Study& study, const std::vector<RunRecord>& records, size_t variant) {
  VariantSummary best;
  for (double rate : study.learning_rates) {
    int diverged = 0;
    const auto runs = finished_at(records, variant, rate, diverged);
    const double bits = mean_of(figures(runs, final_image));
    const bool first = rate == study.learning_rates.front();
    if (!first && std::pair(diverged, bits) >= std::pair(best.diverged, best.image_bits)) continue;
    best.learning_rate = rate;
    best.runs = runs;
    best.diverged = diverged;
    best.image_bits = bits;
  }
  best.text_bits = mean_of(figures(best.runs, final_text));
  best.image_deviation = deviation_of(figures(best.runs, final_image));
  best.flat_bits = mean_of(figures(best.runs, [](const RunRecord& r) { return r.parts.flat; }));
  best.edge_bits = mean_of(figures(best.runs, [](const RunRecord& r) { return r.parts.edge; }));
  best.training_tokens_per_second =
      median(figures(best.runs, [](const RunRecord& r) { return r.training_tokens_per_second; }));
  best.decode_tokens_per_second =
      median(figures(best.runs, [](const RunRecord& r) { return r.decode_tokens_per_second; }));
  return best;
}

// Of the seeds that both finished.
PairedDifference difference_of(const VariantSummary& variant, const VariantSummary& base,
                               const Figure& figure) {
  std::vector<double> a, b;
  for (const RunRecord* run : variant.runs) {
    const auto partner = std::find_if(base.runs.begin(), base.runs.end(), [&](const RunRecord* other) {
      return other->run.seed == run->run.seed;
    });
    if (partner == base.runs.end()) continue;
    a.push_back(figure(*run));
    b.push_back(figure(**partner));
  }
  return paired_difference(a, b);
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
    summary.image.difference = difference_of(summary, base, final_image);
    summary.text.difference = difference_of(summary, base, final_text);
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

RateSummary summarise_rate(const std::vector<RunRecord>& records, size_t variant, double rate) {
  RateSummary summary;
  const auto bits = figures(finished_at(records, variant, rate, summary.diverged), final_image);
  summary.image_bits = mean_of(bits);
  summary.deviation = deviation_of(bits);
  return summary;
}

std::string summary_csv(const Study& study, const std::vector<RunRecord>& records,
                        const std::vector<VariantSummary>& summaries) {
  std::string table =
      "variant,learning_rate,seed,best_rate,diverged_after,steps,text_bits,image_bits,flat_bits,edge_bits,"
      "training_tokens_per_second,decode_tokens_per_second,cache_bytes,flops\n";
  for (const RunRecord& record : records) {
    const StudyVariant& variant = study.variants[record.run.variant];
    std::string name = variant.name;
    for (size_t at = 0; (at = name.find('"', at)) != std::string::npos; at += 2) name.insert(at, 1, '"');
    table += fmt::format("\"{}\",{},{},{},", name, record.run.learning_rate, record.run.seed,
                         summaries[record.run.variant].learning_rate == record.run.learning_rate ? 1 : 0);
    if (record.diverged) {
      table += fmt::format("{},,,,,,,,,\n", *record.diverged);
      continue;
    }
    const auto estimate = transformer::estimate(variant.config, {});
    table += fmt::format(",{},{},{},{},{},{:.6g},{:.6g},{},{:.0f}\n", record.curve.back().steps,
                         final_text(record), final_image(record), record.parts.flat, record.parts.edge,
                         record.training_tokens_per_second, record.decode_tokens_per_second,
                         record.cache_bytes, estimate.prefill_flops + estimate.image_flops);
  }
  return table;
}

}  // namespace dalle1::tools
