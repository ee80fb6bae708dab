// What the `train` commands share: their options, the training file, the run folder and the progress lines.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/train/loop.h"
#include "tools/program/command.h"
#include "tools/program/ranks.h"
#include "tools/train/data_report.h"
#include "weights/model_dir.h"

namespace dalle1::tools {

struct TrainingOptions {
  std::string config;  ///< JSON: the architecture, and a `train` object.
  std::string data;
  std::string out;
  std::string init_from;  ///< A model whose parameters the training begins with.
  double max_minutes = 0;
  bool resume = false;
  bool tensorboard = false;
};

/// --max-bad of the commands that read pictures with captions.
void add_max_bad_option(CLI::App& app, double& max_bad);
/// --data of those that take pictures with captions as they lie.
void add_pairs_option(CLI::App& app, std::string& data, const std::string& more = "");

/// --config, --data, --out, --init-from, --max-minutes, --resume and --tensorboard. `data` is the name of
/// --data where it is another one.
void add_training_options(CLI::App& app, TrainingOptions& options, const std::string& data = "--data");

struct TrainingFile {
  nlohmann::json architecture;  ///< Everything but `train`.
  nlohmann::json train;
};

/// Error(input) when the file cannot be read or is no JSON object.
TrainingFile read_training_file(const std::filesystem::path& path);

/// Writes a model directory with one part and the tokenizer of its texts, which the other commands take as
/// --PART and --tokenizer.
void export_with_tokenizer(Module& model, const std::string& part, const nlohmann::json& config,
                           const weights::TokenizerFile& tokenizer, const std::filesystem::path& folder);

/// The run that these options ask for: its folder is made by rank 0, or refused (Error(usage)) when it has
/// something in it and --resume is not given. `settings` decides the result of the training (see TrainRun).
TrainRun make_train_run(const TrainingOptions& options, const CommonOptions& common, nlohmann::json settings);

/// Trains, tells how it ended and what of the data was left out or skipped, and returns the exit code: 0.
/// Error(interrupted) when a signal stopped it; its checkpoint and model are written then, too.
int run_training(Device& device, TrainTask& task, const TrainOptions& train_options, const TrainRun& run,
                 const CommonOptions& common, DataReport& data);

}  // namespace dalle1::tools
