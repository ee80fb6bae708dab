// A study of attention patterns: one architecture and training, several schedules of patterns.
//
//   {"base": {architecture}, "train": {as in a training file}, "variants": [{"name": "all row",
//    "schedule": "row"}], "base_variant": "all row", "seeds": [1, 2], "learning_rates": [0.001, 0.002],
//    "samples": {"prompts": ["a red circle"], "candidates": 2, "seed": 1}}
//
// `train` gives `steps`, or instead of them `tokens`: a budget in text slots and grid cells, of which the
// whole steps are done. A learning rate that falls without saying where falls until the last step. A schedule
// is an object as in a configuration, one entry for all layers, or a list of entries
// (transformer/layer_entry.h). The files of `table:` entries are relative to the study's folder. Seeds and
// learning rates come from the lists: train.seed is refused and train.learning_rate gives only the shape.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/train/loop.h"
#include "transformer/trainer.h"

namespace dalle1::tools {

struct StudyVariant {
  std::string name;
  transformer::TransformerConfig config;
};

struct StudySamples {
  std::vector<std::string> prompts;  ///< Empty: none.
  int candidates = 1;                ///< Of each prompt.
  uint64_t seed = 0;
  float temperature = 1.0f, top_p = 1.0f;

  static void visit(auto& self, auto& field);
};

/// One training.
struct StudyRun {
  size_t variant = 0;
  double learning_rate = 0;
  uint64_t seed = 0;
};

struct Study {
  std::string name;  ///< Of the file.
  nlohmann::json train;
  std::vector<StudyVariant> variants;
  size_t base_variant = 0;
  std::vector<uint64_t> seeds;
  std::vector<double> learning_rates;
  StudySamples samples;

  /// Seed by seed, so that a study that was stopped has whole comparisons.
  std::vector<StudyRun> runs() const;
  /// The `train` object of one run.
  nlohmann::json train_of(const StudyRun& run) const;
  /// Its folder below runs/: NAME-lrX-SEED.
  std::string folder_of(const StudyRun& run) const;
  /// Text slots and grid cells that each run trains on.
  int64_t tokens_of_run() const;
};

/// Reads and checks everything that can be checked without data. Error(input) in one line that names the file
/// and the field or variant.
Study read_study(const std::filesystem::path& path);

TrainOptions train_options_of(const Study& study, const StudyRun& run);
transformer::TransformerTraining training_of(const Study& study, const StudyRun& run);

}  // namespace dalle1::tools
