// One training of a study, and what is kept of it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "tools/study/study.h"

namespace dalle1::tools {

struct CommonOptions;

struct AblationInputs {
  Device& device;
  const TokenShards& shards;
  const text::Tokenizer& tokenizer;
  nlohmann::json identity;   ///< Of the data and the tokenizer.
  bool tensorboard = false;  ///< Whether runs write event files.
};

struct LossPoint {
  int64_t steps = 0;  ///< Done.
  double text_bits = 0, image_bits = 0;
};

/// Where the held-out image bits go.
struct ImageParts {
  std::vector<double> rows;  ///< Bits per token of each row of the grid.
  /// Of cells with the token of the cell to the left or above, and of the others.
  double flat = 0, edge = 0;
  double flat_share = 0;  ///< Of all cells.
};

/// A finished run.
struct RunRecord {
  StudyRun run;
  /// Steps after which the loss was no number; then only the curve is there.
  std::optional<int64_t> diverged;
  std::vector<LossPoint> curve;  ///< Held-out samples, bits per token; the last is the final one.
  ImageParts parts;
  double training_tokens_per_second = 0;      ///< Median over the logged steps.
  double decode_tokens_per_second = 0;        ///< Image tokens of all samples, prefill included.
  int64_t cache_bytes = 0;                    ///< Of one candidate, measured.
  std::vector<std::vector<int32_t>> samples;  ///< [prompts * candidates][G * G]
};

/// The run in its folder, or nothing when it is not finished. Error(usage) when it was made with other
/// settings.
std::optional<RunRecord> read_run(const Study& study, const StudyRun& run, const AblationInputs& inputs,
                                  const std::filesystem::path& folder);

/// Trains, going on from the folder's newest checkpoint, then samples. False when a signal stopped it.
bool perform_run(const Study& study, const StudyRun& run, const AblationInputs& inputs,
                 const std::filesystem::path& folder, const CommonOptions& common);

}  // namespace dalle1::tools
