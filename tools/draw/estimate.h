// What a drawing run will take: computed and printed before work starts.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "rerank/complete.h"
#include "rerank/model_set.h"
#include "rerank/results.h"
#include "tools/draw/draw_options.h"
#include "tools/draw/rehearsal.h"

namespace dalle1::tools {

/// Candidates decoded together, and how their keys and values are kept (as --kv-dtype).
struct WaveChoice {
  int wave = 1;
  std::string kv_dtype;
};

/// The wanted wave, with the first of `kv_dtypes` (one at least, the best first) with which it fits. If it
/// fits with none and may be reduced, half of it is wanted, and so on down to 1. The last choice tried where
/// nothing fits.
WaveChoice choose_wave(int wanted, bool may_reduce, std::span<const std::string> kv_dtypes,
                       const std::function<bool(const WaveChoice&)>& fits);

struct DrawingPlan {
  int wave = 0;          ///< Candidates decoded together.
  std::string kv_dtype;  ///< How their keys and values are kept.
  int candidates = 0, prompts = 1;
  int decoded = 0;  ///< Of the candidates; the others are pruned.

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

/// Chooses the wave (--batch, else up to 64 on a CPU and 256 on a GPU, less where memory says so) and, on a
/// GPU without --kv-dtype, the first of bf16, mixed and fp8 keys and values with which it fits; estimates.
/// Memory comes from a rehearsal that computes nothing, times from operation counts and a measurement of this
/// machine of a fraction of a second. `redraws` as in rehearse().
DrawingPlan plan_drawing(const rerank::ModelSet& models, const DrawOptions& options, int prompts,
                         std::span<const rerank::Redraw> redraws = {});

/// `options` with what the plan chose where they left it open.
DrawOptions as_planned(DrawOptions options, const DrawingPlan& plan);

/// Error(memory) with the numbers when the plan does not fit.
void check_memory(const DrawingPlan& plan, const rerank::ModelSet& models);

std::string describe(const DrawingPlan& plan);  ///< One or two lines for people.
rerank::Json to_json(const DrawingPlan& plan);

}  // namespace dalle1::tools
