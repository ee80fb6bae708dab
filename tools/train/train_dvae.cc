// dalle1 train dvae: from pictures to a model folder with a dVAE.
#include <filesystem>

#include "dvae/trainer.h"
#include "tools/program/progress.h"
#include "tools/program/standard_streams.h"
#include "tools/train/picture_sources.h"
#include "tools/train/training.h"
#include "weights/load.h"
#include "weights/model_dir.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct DvaeOptions : TrainingOptions {
  std::string held_out;
  double max_bad = 0.001;
};

void export_dvae(dvae::OpenAiDvae& model, const fs::path& folder) {
  fs::create_directories(folder);
  weights::save_parameters(model, folder / "dvae.safetensors", "dvae", model.config());
  weights::ModelDirWriter writer(folder, "trained dVAE", "unspecified");
  writer.add_written("dvae", model.config());
  writer.commit();
}

int train_dvae(const DvaeOptions& options, const CommonOptions& common) {
  const TrainingFile file = read_training_file(options.config);
  const auto config = dvae::OpenAiConfig::from_json(file.architecture);
  TrainOptions train_options = train_options_from_json(file.train, config::field_names<dvae::DvaeTraining>());
  train_options.max_minutes = options.max_minutes;
  train_options.comm = job_comm();
  const auto training = dvae::DvaeTraining::from_json(file.train, train_options);

  DataReport data(common);
  std::shared_ptr<PairSource> pictures = open_picture_sources(options.data, data), held_out;
  if (options.held_out.empty()) {
    const auto wanted = static_cast<uint64_t>(training.evaluate_pictures);
    std::tie(pictures, held_out) =
        dvae::split_source(pictures, pictures->size() - std::min(wanted, pictures->size()));
  } else {
    held_out = open_picture_sources(options.held_out, data);
  }
  const auto device = open_device(common);
  dvae::DvaeTask task(*device, config, training, train_options.seed,
                      training_precision(train_options, *device));
  if (!options.init_from.empty()) {
    weights::load_parameters(task.graph(), weights::open_checkpoint({options.init_from}, nullptr, "dvae"));
    task.scale_logits();
  }
  const nlohmann::json settings = {{"architecture", config.to_json()},
                                   {"train", file.train},
                                   {"pictures", pictures->size()},
                                   {"init_from", options.init_from}};
  const TrainRun run = make_train_run(options, common, settings);
  PairReaderOptions reading;
  reading.seed = train_options.seed;
  reading.captions = Captions::ignored;
  reading.max_bad = options.max_bad;
  reading.on_bad = data.on_bad();
  const auto reader = std::make_shared<PairReader>(pictures, reading);
  reading.shuffle = false;
  PairReader measuring(held_out, reading);
  task.set_data(reader,
                dvae::read_held_out(measuring, training.evaluate_pictures, training.batches.resolution));
  task.set_output(options.out, export_dvae);
  return run_training(*device, task, train_options, run, common, data);
}

}  // namespace

Command train_dvae_command() {
  return {"train dvae", "Train a dVAE on pictures",
          "dalle1 train dvae --config tools/train/default/dvae.json --data pictures --out runs/dvae",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<DvaeOptions>();
            add_training_options(app, *options);
            app.add_option("--held-out", options->held_out,
                           "Pictures for measuring; otherwise the last ones of --data are set aside");
            add_max_bad_option(app, options->max_bad);
            return [options, &common] { return train_dvae(*options, common); };
          }};
}

}  // namespace dalle1::tools
