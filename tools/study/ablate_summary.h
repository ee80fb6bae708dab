// What a finished study says: the learning rate of each variant and its differences from the base.
#pragma once

#include <string>
#include <vector>

#include "tools/study/ablate_run.h"
#include "tools/study/ablate_statistics.h"

namespace dalle1::tools {

/// A difference of final held-out bits per token from the base variant, below 0 where the variant is better.
struct Comparison {
  PairedDifference difference;
  /// Holm's, over all comparisons of the study: image and text of every other variant.
  double adjusted_p = 1;
  /// The difference is told apart from 0 at 5% after the correction.
  bool larger_than_spread() const { return adjusted_p < 0.05; }
};

struct VariantSummary {
  /// Of the fewest diverged runs, then of the lowest mean over seeds of final held-out image bits.
  double learning_rate = 0;
  std::vector<const RunRecord*> runs;    ///< At that rate, in the order of the seeds, without diverged ones.
  int diverged = 0;                      ///< Runs at that rate.
  double text_bits = 0, image_bits = 0;  ///< Means over seeds.
  double image_deviation = 0;            ///< Over seeds.
  double flat_bits = 0, edge_bits = 0;   ///< See ImageParts; means over seeds.
  Comparison text, image;                ///< Over seeds that the base finished too. The base's own: all 0.
  double training_tokens_per_second = 0, decode_tokens_per_second = 0;  ///< Medians over seeds.
};

/// One a variant. `records`: all runs of the study; kept by the caller.
std::vector<VariantSummary> summarise(const Study& study, const std::vector<RunRecord>& records);

/// A learning rate of a variant: what the choice was made from.
struct RateSummary {
  int diverged = 0;
  double image_bits = 0, deviation = 0;  ///< Over the seeds that did not diverge.
};
RateSummary summarise_rate(const std::vector<RunRecord>& records, size_t variant, double rate);

/// One row a run; figures are empty where it diverged.
std::string summary_csv(const Study& study, const std::vector<RunRecord>& records,
                        const std::vector<VariantSummary>& summaries);

}  // namespace dalle1::tools
