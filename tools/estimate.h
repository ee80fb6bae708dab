// What a drawing run will take: computed and printed before work starts.
#pragma once

#include <span>
#include <string>

#include "rerank/complete.h"
#include "rerank/results.h"
#include "tools/draw_options.h"
#include "tools/rehearsal.h"

namespace dalle1::tools {

class Studio;

struct DrawingPlan {
  int wave = 0;  ///< Candidates decoded together.
  int candidates = 0, prompts = 1;

  // Bytes.
  Footprint device;      ///< Of the device's memory.
  double pictures = 0;   ///< Host: pictures of a wave, kept ones, the sheet, a row for each candidate.
  double program = 0;    ///< Host: what the process has before models are loaded.
  double available = 0;  ///< What the device has.
  /// Of the process on a CPU; on a GPU of the device.
  double memory() const { return on_gpu ? device.total() : device.total() + pictures + program; }
  bool on_gpu = false;

  // Seconds, all prompts.
  double sample_seconds = 0, decode_seconds = 0, score_seconds = 0;
  double seconds() const { return sample_seconds + decode_seconds + score_seconds; }
};

/// Chooses the wave (--batch, else up to 64 on a CPU and 256 on a GPU, less where memory says so) and
/// estimates. Memory comes from a rehearsal that computes nothing, times from operation counts and a
/// measurement of this machine of a fraction of a second. `redraws` as in rehearse().
DrawingPlan plan_drawing(const Studio& studio, const DrawOptions& options, int prompts,
                         std::span<const rerank::Redraw> redraws = {});

/// Error(memory) with the numbers when the plan does not fit.
void check_memory(const DrawingPlan& plan, const Studio& studio);

std::string describe(const DrawingPlan& plan);  ///< One or two lines for people.
rerank::Json to_json(const DrawingPlan& plan);

}  // namespace dalle1::tools
