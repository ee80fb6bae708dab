// Options of the commands that draw pictures: sample, complete, vary, eval.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "rerank/generation_options.h"
#include "rerank/run_folder.h"

namespace dalle1::tools {

/// A request with what only the program knows.
struct DrawOptions : rerank::GenerationOptions {
  bool has_prompt = false;       ///< An empty prompt is a prompt.
  std::string prompts;           ///< A file: one prompt a line, or JSON lines with "prompt".
  std::set<std::string> chosen;  ///< Of the fields that a model may advise: those that the user gave.
  bool dry_run = false, resume = false, overwrite = false;
  std::string out;  ///< Empty: dalle1-out/SLUG-SEED.

  rerank::Existing existing() const;
  /// The scorer that the user asked for; empty: the model's.
  std::string asked_scorer() const { return chosen.count("scorer") ? scorer : std::string(); }
};

/// All of them, with their ranges. --prompt and --prompts exclude each other, so do --resume and --overwrite.
void add_draw_options(CLI::App& app, DrawOptions& options);
/// Those that a model may advise, but for --prune: for commands that look at all pictures.
void add_advised_options(CLI::App& app, DrawOptions& options);
/// Takes those that the user left open from the model's advice, see rerank::take_advice(), and says which, as
/// on a command line.
std::string take_advice(DrawOptions& options, const nlohmann::json& advice);
/// What ranges cannot say: Error(usage).
void check_draw_options(const DrawOptions& options);

/// The prompts to draw, --prompt or those of --prompts. Error(input) names file and line.
std::vector<std::string> read_prompts(const DrawOptions& options);

/// A name for a folder: the prompt's letters and digits, lower-cased, at most 40 bytes, joined by '-'.
std::string slug(const std::string& prompt);

}  // namespace dalle1::tools
