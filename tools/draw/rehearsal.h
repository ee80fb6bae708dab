// What a drawing run takes, found by running it on a device that only counts.
#pragma once

#include <span>

#include "rerank/complete.h"
#include "rerank/model_set.h"
#include "tools/draw/draw_options.h"

namespace dalle1::tools {

struct Footprint {
  double weights = 0;    ///< Parameters, in the precision that they compute in.
  double cache = 0;      ///< Keys and values of prompt and candidates.
  double workspace = 0;  ///< All else of the device: forms of weights that products want, activations.
  int picture_size = 0;  ///< Pixels of one side of a drawn picture.
  double decode_operations = 0, score_operations = 0;  ///< Of one candidate.
  double judge_operations = 0;                         ///< The same of what prunes by tokens.
  double total() const { return weights + cache + workspace; }
};

/// Bytes of device memory at the most, and operations: every stage of the run is gone through with waves of
/// `wave` candidates and what then remains of `candidates`. `redraws`: what complete and vary draw anew;
/// empty: everything.
Footprint rehearse(const rerank::ModelSet& models, const DrawOptions& options,
                   std::span<const rerank::Redraw> redraws, int candidates, int wave);

}  // namespace dalle1::tools
