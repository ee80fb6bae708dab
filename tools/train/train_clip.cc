// dalle1 train clip: from pictures with captions to a model folder.
#include <filesystem>

#include "clip/trainer.h"
#include "dvae/picture_batches.h"
#include "tools/models/models.h"
#include "tools/train/picture_sources.h"
#include "tools/train/training.h"
#include "weights/load.h"
#include "weights/model_dir.h"
#include "weights/open.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct ClipOptions : TrainingOptions {
  std::string held_out, drawn;
  double max_bad = 0.001;
};

// The vocabulary and the end of a text are the tokenizer's, unless the file says them.
clip::ClipConfig config_of(nlohmann::json architecture, const text::Tokenizer& tokenizer) {
  if (!architecture.contains("vocab_size")) architecture["vocab_size"] = tokenizer.vocab_size();
  if (!architecture.contains("end_token")) architecture["end_token"] = tokenizer.special().eos;
  return clip::clip_config_from_json(architecture);
}

// A folder that the other commands take as --clip.
void export_clip(clip::Clip& model, const fs::path& tokenizer, const std::string& kind,
                 const fs::path& folder) {
  fs::create_directories(folder);
  const nlohmann::json config = model.config().to_json();
  weights::save_parameters(model, folder / "clip.safetensors", "clip", config);
  weights::ModelDirWriter writer(folder, "trained CLIP", "unspecified");
  writer.add_written("clip", config);
  writer.add_tokenizer("clip_tokenizer", {kind, tokenizer}, "clip_text" + tokenizer.extension().string());
  writer.commit();
}

int train_clip(const ClipOptions& options, const CommonOptions& common) {
  const TrainingFile file = read_training_file(options.config);
  TrainOptions train_options = train_options_from_json(file.train, config::field_names<clip::ClipTraining>());
  train_options.max_minutes = options.max_minutes;
  train_options.comm = job_comm();
  auto training = clip::ClipTraining::from_json(file.train, train_options.seed);
  DataReport data(common);
  training.batches.share = train_options.share();
  training.batches.max_bad = options.max_bad;
  training.batches.on_bad = data.on_bad();

  check(!common.tokenizer.empty(), ErrorKind::usage, "--tokenizer FILE is needed: the captions are text");
  const fs::path tokenizer_path = common.tokenizer.front();
  const std::shared_ptr<const text::Tokenizer> tokenizer = text::open_tokenizer(tokenizer_path);
  const auto config = config_of(file.architecture, *tokenizer);
  std::shared_ptr<PairSource> pairs = open_picture_sources(options.data, data), held_out;
  if (options.held_out.empty()) {
    const auto wanted = static_cast<uint64_t>(training.evaluate_pairs);
    std::tie(pairs, held_out) = dvae::split_source(pairs, pairs->size() - std::min(wanted, pairs->size()));
  } else {
    held_out = open_picture_sources(options.held_out, data);
  }

  const std::shared_ptr<PairSource> drawn =
      options.drawn.empty() ? nullptr : open_picture_sources(options.drawn, data);

  const auto device = open_device(common);
  clip::ClipTask task(*device, config, training, tokenizer, train_options.seed,
                      training_precision(train_options, *device));
  if (!options.init_from.empty())
    weights::load_parameters(task.clip(),
                             weights::open_checkpoint({options.init_from},
                                                      {{"vision_heads", config.vision_heads},
                                                       {"transformer_heads", config.transformer_heads},
                                                       {"activation", config.activation}},
                                                      "clip"));
  nlohmann::json settings = {{"architecture", config.identity()},
                             {"train", file.train},
                             {"pairs", pairs->size()},
                             {"tokenizer_sha256", weights::sha256_of_file(tokenizer_path)},
                             {"init_from", options.init_from}};
  if (drawn) settings["drawn"] = drawn->size();
  const TrainRun run = make_train_run(options, common, settings);
  PairReader measuring(held_out, clip::reading_of(training.batches));
  task.set_data(pairs, drawn,
                clip::read_held_out(measuring, training.evaluate_pairs, config.image_resolution));
  task.set_exporter([&](clip::Clip& model, const fs::path& folder) {
    export_clip(model, tokenizer_path, std::string(tokenizer->kind()), folder);
  });
  return run_training(*device, task, train_options, run, common, data);
}

}  // namespace

Command train_clip_command() {
  return {"train clip", "Train a CLIP on pictures with captions",
          "dalle1 train clip --config tools/train/default/clip.json --data pictures --tokenizer text.model "
          "--out runs/clip",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ClipOptions>();
            add_training_options(app, *options);
            add_list_option(app, "--tokenizer", common.tokenizer,
                            "The captions' tokenizer (see train tokenizer), or CLIP's merges file");
            app.add_option("--held-out", options->held_out,
                           "Pairs for measuring; otherwise the last ones of --data are set aside");
            app.add_option("--drawn", options->drawn,
                           "Pictures that a model drew for captions of --data and that do not show them: "
                           "further wrong pictures for those captions (tools/train/default/drawn)");
            add_max_bad_option(app, options->max_bad);
            return [options, &common] { return train_clip(*options, common); };
          }};
}

}  // namespace dalle1::tools
