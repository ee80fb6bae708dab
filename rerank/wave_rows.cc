#include "rerank/wave_rows.h"

#include <cmath>

namespace dalle1::rerank {

Wave part_of(const Wave& wave, std::span<const uint32_t> candidates) {
  Wave part;
  part.candidates.assign(candidates.begin(), candidates.end());
  size_t i = 0;
  for (const uint32_t candidate : candidates) {
    while (wave.candidates[i] != candidate) ++i;
    const auto tokens = wave.tokens_of(i);
    part.tokens.insert(part.tokens.end(), tokens.begin(), tokens.end());
    part.log_likelihood.push_back(wave.log_likelihood[i]);
    part.forced_log_likelihood.push_back(wave.forced_log_likelihood[i]);
    part.forced.push_back(wave.forced[i]);
  }
  return part;
}

std::vector<ResultRow> rows_of(const Wave& wave, uint64_t seed) {
  std::vector<ResultRow> rows(wave.size());
  for (size_t i = 0; i < wave.size(); ++i) {
    const auto tokens = wave.tokens_of(i);
    rows[i].candidate = wave.candidates[i];
    rows[i].seed = seed;
    rows[i].log_likelihood = wave.log_likelihood[i];
    rows[i].forced_log_likelihood = wave.forced_log_likelihood[i];
    rows[i].sampled_cells = wave.sampled_cells(i);
    rows[i].forced = wave.forced[i];
    rows[i].tokens.assign(tokens.begin(), tokens.end());
  }
  return rows;
}

Wave wave_of(std::span<const ResultRow> rows) {
  Wave wave;
  for (const auto& row : rows) {
    wave.candidates.push_back(row.candidate);
    wave.tokens.insert(wave.tokens.end(), row.tokens.begin(), row.tokens.end());
    wave.log_likelihood.push_back(row.log_likelihood);
    wave.forced_log_likelihood.push_back(row.forced_log_likelihood);
    wave.forced.push_back(row.forced);
  }
  return wave;
}

void record_scores(std::span<ResultRow> rows, Scorer& scorer, const Wave& wave,
                   std::span<const Image> pictures) {
  const auto columns = scorer.columns();
  const auto scores = scorer.score({wave, pictures});
  check(scores.size() == rows.size() * columns.size(), ErrorKind::internal,
        "the scorer gave {} scores for {} x {}", scores.size(), rows.size(), columns.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].scores.clear();
    for (size_t c = 0; c < columns.size(); ++c) {
      const double value = scores[i * columns.size() + c];
      check(std::isfinite(value), ErrorKind::model, "score '{}' of candidate {} is not a number", columns[c],
            rows[i].candidate);
      rows[i].scores.emplace_back(columns[c], value);
    }
  }
}

}  // namespace dalle1::rerank
