// A wave as the rows of its candidates, and back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rerank/results.h"
#include "rerank/scorer.h"

namespace dalle1::rerank {

/// What a wave has of some of its candidates; both ascend.
Wave part_of(const Wave& wave, std::span<const uint32_t> candidates);

/// Without scores; `seed` is the run's.
std::vector<ResultRow> rows_of(const Wave& wave, uint64_t seed);
/// Of rows that have their tokens.
Wave wave_of(std::span<const ResultRow> rows);

/// Puts the scorer's columns into the rows of a wave, in the place of what they had. Error(model) when a
/// score is not finite.
void record_scores(std::span<ResultRow> rows, Scorer& scorer, const Wave& wave,
                   std::span<const Image> pictures);

}  // namespace dalle1::rerank
