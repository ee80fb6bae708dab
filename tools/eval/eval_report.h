// Statistics of an evaluation: shares with their intervals, and what reranking brings.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rerank/results.h"

namespace dalle1::tools {

/// What the checker said of the candidates of one prompt, in order of their rank by the scorer.
struct PromptVerdict {
  std::string prompt, kind;
  bool held_out = false;
  std::vector<uint32_t> candidates;  ///< [N] by rank
  std::vector<bool> right;           ///< [N] by rank: shows the prompt; empty where that cannot be checked
  std::vector<bool> control;         ///< [N] by rank: shows the control caption; empty without one
  std::vector<int32_t> best_tokens;  ///< [G * G] of the best by score
};

rerank::Json to_json(const PromptVerdict& verdict);
/// Error(input) that begins with `where`.
PromptVerdict verdict_from_json(const rerank::Json& json, const std::string& where);

/// A share and its 95% interval (Wilson 1927, "Probable Inference, the Law of Succession, and Statistical
/// Inference").
struct Share {
  int right = 0, count = 0;
  double share = 0, low = 0, high = 0;
};
Share wilson(int right, int count);

/// Probability that the best-ranked of n candidates drawn from N without replacement is right: candidate of
/// rank i is the best of them with probability C(N - 1 - i, n - 1) / C(N, n).
double best_of(const std::vector<bool>& right_by_rank, int n);
/// Probability that any of n candidates drawn from N is right: 1 - C(N - R, n) / C(N, n), R of them right.
double any_of(const std::vector<bool>& right_by_rank, int n);

struct KindReport {
  std::string kind;
  bool held_out = false;
  Share first, best, oracle;  ///< Candidate 0, rank 0, any.
  /// The same against captions that are not the prompt's.
  Share control_first, control_best, control_oracle;
};

struct CurvePoint {
  int n = 0;
  double best = 0, oracle = 0, control_best = 0, control_oracle = 0;  ///< Means over prompts.
};

struct EvalReport {
  std::vector<KindReport> kinds;
  std::vector<CurvePoint> curve;  ///< n = 1, 2, 4, ... up to N, and N
};

EvalReport summarise(const std::vector<PromptVerdict>& verdicts);
rerank::Json to_json(const EvalReport& report);
/// A whole evaluation (report.json) as Markdown: what was asked, and a table of every part that it has.
std::string to_markdown(const rerank::Json& document);
std::string to_svg(const EvalReport& report);  ///< The reranking curve.

}  // namespace dalle1::tools
