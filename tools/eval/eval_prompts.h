// The prompts of an evaluation.
#pragma once

#include <string>
#include <vector>

namespace dalle1::tools {

struct EvalPrompt {
  std::string prompt, kind;
  std::string control;  ///< A caption that the prompt's picture must not show; empty: none.
  bool held_out = false;
  uint64_t seed = 0;  ///< Added to the evaluation's: a prompt that comes again is drawn anew.
};

/// JSON lines with "prompt" and, optionally, "kind", "control", "held_out" and "seed". Takes turns among the
/// kinds, held-out or not, so that a part of the list is an evaluation too. `kinds`: only these; empty: all.
/// `limit`: at most so many of each, 0: all. Error(input) names file and line; Error(usage) a kind that is
/// not there.
std::vector<EvalPrompt> read_eval_prompts(const std::string& path, const std::vector<std::string>& kinds,
                                          int limit);

}  // namespace dalle1::tools
