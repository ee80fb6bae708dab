// dalle1 rank results.jsonl: the candidates of a finished run, scored again from their saved tokens.
#pragma once

#include <string>

#include "tools/program/options.h"

namespace dalle1::tools {

struct RankResultsOptions {
  std::string results;  ///< results.jsonl of a run
  std::string prompt;   ///< Empty: the prompt of the run, from the run.json beside it.
  std::string scorer;   ///< As in sample; empty: clip.
  bool truncate = false;
};

/// Prints the candidates, best first, with all scores; a JSON document under --json. The pictures are decoded
/// from the tokens, so that any scorer and any model that has the same codes will do. Likelihoods are over
/// all cells, forced ones included. Returns 0.
int rank_results(const RankResultsOptions& options, const CommonOptions& common);

}  // namespace dalle1::tools
