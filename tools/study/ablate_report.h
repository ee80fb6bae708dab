// The report of a study: one page of its own, without scripts and without requests.
#pragma once

#include <string>
#include <vector>

#include "core/image/image.h"
#include "tools/study/ablate_summary.h"

namespace dalle1::tools {

struct ReportInputs {
  const Study& study;
  const std::vector<RunRecord>& records;
  const std::vector<VariantSummary>& summaries;
  std::string data;  ///< What was trained on, in words.
  uint64_t data_samples = 0;
  std::string device;
  /// Pictures of each variant's first seed that did not diverge, prompt after prompt with its candidates;
  /// empty without a dVAE (the page then says so), and of a variant without such a seed.
  std::vector<std::vector<Image>> pictures;
};

/// report.html.
std::string ablation_report(const ReportInputs& inputs);

/// Its part on losses over steps and over the grid.
std::string ablation_curves(const ReportInputs& inputs);

/// "c-base", or "c0" to "c9": the variant's colour in the style sheet.
std::string colour_of(const Study& study, size_t variant);

/// The table of the differences in Markdown, for documents.
std::string ablation_table(const Study& study, const std::vector<VariantSummary>& summaries);

}  // namespace dalle1::tools
