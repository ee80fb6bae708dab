// What a drawing run will take: computed and printed before work starts.
#pragma once

#include <string>

#include "rerank/results.h"
#include "tools/draw_options.h"

namespace dalle1::tools {

class Studio;

struct DrawingPlan {
  int wave = 0;  ///< Candidates decoded together.
  int candidates = 0, prompts = 1;

  // Bytes.
  double weights = 0;    ///< All parts in the precision they compute in, packed copies included.
  double cache = 0;      ///< Keys and values of a wave, and of the prompt.
  double workspace = 0;  ///< The largest of what sampling, decoding and scoring hold at one time.
  double pictures = 0;   ///< Kept pictures and the sheet.
  double program = 0;    ///< What the process has before anything is loaded.
  double available = 0;  ///< What the device has.
  double memory() const { return weights + cache + workspace + pictures + program; }

  // Seconds, all prompts.
  double sample_seconds = 0, decode_seconds = 0, score_seconds = 0;
  double seconds() const { return sample_seconds + decode_seconds + score_seconds; }
};

/// Chooses the wave (--batch, else 64 on a CPU and 256 on a GPU, less where memory says so) and estimates.
/// Times come from operation counts and a measurement of this machine of a fraction of a second.
DrawingPlan plan_drawing(const Studio& studio, const DrawOptions& options, int prompts);

/// Error(memory) with the numbers when the plan does not fit.
void check_memory(const DrawingPlan& plan, const Studio& studio);

std::string describe(const DrawingPlan& plan);  ///< One or two lines for people.
rerank::Json to_json(const DrawingPlan& plan);

}  // namespace dalle1::tools
