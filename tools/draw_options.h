// Options of the commands that draw pictures: sample, complete, vary, eval.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "rerank/pipeline.h"
#include "rerank/scorer.h"

namespace dalle1::tools {

struct DrawOptions {
  std::string prompt;
  bool has_prompt = false;  ///< An empty prompt is a prompt.
  std::string prompts;      ///< A file: one prompt a line, or JSON lines with "prompt".
  int candidates = 512;
  int keep = 32;
  uint64_t seed = 0;
  double temperature = 1.0;  ///< 0: greedy
  int top_k = 0;             ///< 0: off
  /// 1: off, as in the paper. Flat art needs the tail: a shape begins with a token that is rare on its
  /// background.
  double top_p = 1.0;
  double guidance = 1.0;          ///< u + s (c - u); 1: off
  std::string negative;           ///< The prompt of u; empty: no text at all.
  std::string scorer;             ///< Empty: clip, which must then be there.
  int batch = 0;                  ///< Candidates decoded together; 0: automatic.
  std::string kv_dtype = "auto";  ///< See transformer::CacheType.
  std::set<std::string> chosen;   ///< Of temperature, top_k, top_p, guidance: those that the user gave.
  std::vector<uint32_t> only;
  bool truncate = false, no_metadata = false, dry_run = false, resume = false, overwrite = false;
  std::string out;  ///< Empty: dalle1-out/SLUG-SEED.

  rerank::Existing existing() const;
  /// 0, 1, ..., candidates - 1, or those of --only, ascending.
  std::vector<uint32_t> candidate_indices() const;
  /// Every option that changes the result, by the name of its field.
  rerank::Json result_options() const;
};

/// All of them, with their ranges. --prompt and --prompts exclude each other, so do --resume and --overwrite.
void add_draw_options(CLI::App& app, DrawOptions& options);
/// --temperature, --top-k, --top-p and --guidance alone.
void add_sampling_options(CLI::App& app, DrawOptions& options);
/// Takes those that the user left open from the model's advice (weights::ModelDir::sampling) and says which,
/// as on a command line. Error(model) where it is about something else or out of range.
std::string take_advice(DrawOptions& options, const rerank::Json& advice);
/// What ranges cannot say: Error(usage).
void check_draw_options(const DrawOptions& options);

/// The prompts to draw, --prompt or those of --prompts. Error(input) names file and line.
std::vector<std::string> read_prompts(const DrawOptions& options);

/// A name for a folder: the prompt's letters and digits, lower-cased, at most 40 bytes, joined by '-'.
std::string slug(const std::string& prompt);

}  // namespace dalle1::tools
