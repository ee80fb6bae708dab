#include "tools/train/training.h"

#include <fmt/format.h>

#include <cstdio>

#include "core/comm/agreement.h"
#include "core/io/text_file.h"
#include "core/json.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/standard_streams.h"
#include "tools/train/event_file.h"
#include "weights/load.h"
#include "weights/training_state.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

const weights::SafetensorsState training_state_format;

// "step 40  loss 8.123  image_nats 8.4": numbers in the order of their names, short enough for one line.
std::string row_line(const nlohmann::json& row) {
  std::string line = fmt::format("step {}", row.value("step", int64_t{0}) + 1);
  for (const auto& [key, value] : row.items()) {
    if (key != "step" && value.is_number()) line += fmt::format("  {} {:.4g}", key, value.get<double>());
  }
  return line;
}

std::function<void(const nlohmann::json&)> reporter(const CommonOptions& common) {
  const ProgressMode mode = common.progress_mode();
  if (mode == ProgressMode::none) return nullptr;
  return [mode](const nlohmann::json& row) {
    write_stderr((mode == ProgressMode::json ? json_text(row, -1) : row_line(row)) + "\n");
    if (mode != ProgressMode::json && row.contains("warning"))
      write_stderr(fmt::format("warning: {}\n", row.at("warning").get<std::string>()));
  };
}

}  // namespace

void add_training_options(CLI::App& app, TrainingOptions& options, const std::string& data) {
  app.add_option("--config", options.config,
                 "Training file: JSON with the architecture and a 'train' object, whose 'compute' is f32, "
                 "bf16 or auto: "
                 "bf16 where the device multiplies it; without the word bf16 on a GPU, f32 on a CPU")
      ->required();
  app.add_option(data, options.data, "What to train on")->required();
  app.add_option("--out", options.out, "Folder of the run")->required();
  app.add_option("--init-from", options.init_from, "Begin with the parameters of this model");
  app.add_option("--max-minutes", options.max_minutes, "Stop with a checkpoint after this long")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--resume", options.resume, "Go on from the newest checkpoint in --out, or start");
  app.add_flag("--tensorboard", options.tensorboard,
               "Also write event files for TensorBoard to OUT/tensorboard");
}

void add_pairs_option(CLI::App& app, std::string& data, const std::string& more) {
  app.add_option("--data", data,
                 "A folder of pictures, a captions.jsonl or metadata.jsonl, or tar shards: "
                 "'data/{000..017}.tar'" +
                     more)
      ->required();
}

void add_max_bad_option(CLI::App& app, double& max_bad) {
  app.add_option(
         "--max-bad", max_bad,
         "Share of samples that may be broken: pictures or captions that cannot be read; one always may, "
         "unless it is 0")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

TrainingFile read_training_file(const fs::path& path) {
  TrainingFile file;
  file.architecture = parse_json(read_text(path), path.string());
  check(file.architecture.is_object(), ErrorKind::input, "{}: not a JSON object", path.string());
  check(file.architecture.contains("train"), ErrorKind::input, "{}: it has no 'train' object", path.string());
  file.train = file.architecture["train"];
  file.architecture.erase("train");
  return file;
}

void export_with_tokenizer(Module& model, const std::string& part, const nlohmann::json& config,
                           const weights::TokenizerFile& tokenizer, const fs::path& folder) {
  fs::create_directories(folder);
  weights::save_parameters(model, folder / (part + ".safetensors"), part, config);
  weights::ModelDirWriter writer(folder, "trained " + part, "unspecified");
  writer.add_written(part, config);
  writer.add_tokenizer("tokenizer", tokenizer, "text.model");
  writer.commit();
}

TrainRun make_train_run(const TrainingOptions& options, const CommonOptions& common,
                        nlohmann::json settings) {
  const fs::path folder = options.out;
  TrainRun run;
  if (job_comm()->is_root())
    run.lock = std::make_shared<const FolderLock>(
        make_output_folder(common, folder, options.resume, "go on with --resume, or choose another --out"));
  run.folder = folder;
  run.resume = options.resume;
  run.settings = std::move(settings);
  run.format = &training_state_format;
  run.stop_requested = [] { return GracefulStop::requested(); };
  run.report = reporter(common);
  if (options.tensorboard && job_comm()->is_root()) {
    run.report = [lines = run.report,
                  events = std::make_shared<EventFile>(folder / "tensorboard")](const nlohmann::json& row) {
      events->write(row.at("step").get<int64_t>() + 1, row);
      if (lines) lines(row);
    };
  }
  return run;
}

int run_training(Device& device, TrainTask& task, const TrainOptions& train_options, const TrainRun& run,
                 const CommonOptions& common, DataReport& data) {
  const GracefulStop stop;
  data.print();
  const TrainResult result = train(device, task, train_options, run);
  data.print();  // again if samples were skipped, whose lines are far above by now
  if (common.json) {
    fmt::print("{}\n", json_text(nlohmann::ordered_json({{"steps", result.steps},
                                                         {"finished", result.finished},
                                                         {"folder", run.folder.string()},
                                                         {"model", (run.folder / "model").string()},
                                                         {"data", data.json()}}),
                                 -1));
  } else {
    fmt::print("{}\n", (run.folder / "model").string());
  }
  const bool stopped = on_any(*train_options.comm, GracefulStop::requested());
  check(result.finished || !stopped, ErrorKind::interrupted,
        "interrupted after {} of {} steps; --resume goes on", result.steps, train_options.steps);
  return 0;
}

}  // namespace dalle1::tools
