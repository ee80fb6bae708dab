// dalle1 train transformer: from token shards to a model folder.
#include <filesystem>

#include "tools/models/models.h"
#include "tools/program/progress.h"
#include "tools/train/training.h"
#include "transformer/resample_grid.h"
#include "transformer/trainer.h"
#include "weights/load.h"
#include "weights/open.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

void check_data(const TokenShardInfo& info, const transformer::TransformerConfig& config,
                const std::string& data) {
  check(info.grid == config.grid && info.codes == config.image_vocab, ErrorKind::input,
        "{} holds grids of {} with {} codes; this transformer has a grid of {} and {} codes", data, info.grid,
        info.codes, config.grid, config.image_vocab);
}

struct TransformerOptions : TrainingOptions {
  double max_bad = 0.001;
  double deadline = 0;
  std::string captions;  ///< Empty: those of the shards alone.
  double mix = 0.95;
};

int train_transformer(const TransformerOptions& options, const CommonOptions& common) {
  const TrainingFile file = read_training_file(options.config);
  const auto config = transformer::config_from_json(file.architecture);
  const auto train_options = [&] {
    TrainOptions read =
        train_options_from_json(file.train, config::field_names<transformer::TransformerTraining>());
    read.max_minutes = options.max_minutes;
    read.comm = job_comm();
    read.deadline_seconds = options.deadline;
    return read;
  }();
  const auto training = transformer::transformer_training_from_json(file.train, config);

  check(!common.tokenizer.empty(), ErrorKind::usage, "--tokenizer FILE is needed: the captions are text");
  const fs::path tokenizer_path = common.tokenizer.front();
  const auto tokenizer = open_text_tokenizer(common);
  check(tokenizer->vocab_size() <= config.text_vocab, ErrorKind::model,
        "{} has {} tokens, and this transformer {}; raise text_vocab", tokenizer_path.string(),
        tokenizer->vocab_size(), config.text_vocab);
  const TokenShards shards(options.data, /*check_records=*/false);
  check_data(shards.info(), config, options.data);
  DataReport data(common);
  const transformer::TokenSamples samples(shards, options.max_bad, data.on_bad());
  data.add({.samples = shards.size(), .without_caption = samples.without_caption()});
  std::shared_ptr<const transformer::CaptionMix> captions;
  if (!options.captions.empty())
    captions = std::make_shared<const transformer::CaptionMix>(options.captions, shards, options.mix);

  const auto device = open_device(common);
  transformer::Transformer model(*device, config, training_precision(train_options, *device));
  if (options.init_from.empty()) {
    model.initialise(train_options.seed, training.zero_ends);
  } else {
    const auto checkpoint = weights::open_checkpoint({options.init_from}, nullptr, "transformer");
    weights::load_parameters(model, transformer::resample_grid(checkpoint, config.grid));
  }
  nlohmann::json settings = {{"architecture", transformer::to_json(config)},
                             {"train", file.train},
                             {"samples", samples.size()},
                             {"dvae_sha256", shards.info().dvae_sha256},
                             {"tokenizer_sha256", weights::sha256_of_file(tokenizer_path)},
                             {"init_from", options.init_from}};
  if (options.deadline > 0) settings["deadline"] = options.deadline;
  if (captions)
    settings["captions"] = {{"sha256", weights::sha256_of_file(options.captions)}, {"mix", options.mix}};
  const TrainRun run = make_train_run(options, common, settings);
  const auto export_model = [&](const fs::path& folder) {
    export_with_tokenizer(model, "transformer", transformer::to_json(config),
                          {std::string(tokenizer->kind()), tokenizer_path}, folder);
  };
  transformer::TransformerTask task(model, samples, *tokenizer, training, train_options, export_model,
                                    captions);
  return run_training(*device, task, train_options, run, common, data);
}

}  // namespace

Command train_transformer_command() {
  return {"train transformer", "Train the transformer on token shards",
          "dalle1 train transformer --config tools/train/default/transformer.json --data shards --tokenizer "
          "text.model "
          "--out runs/transformer",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<TransformerOptions>();
            add_training_options(app, *options);
            add_list_option(app, "--tokenizer", common.tokenizer,
                            "The captions' tokenizer (see train tokenizer)");
            app.add_option("--max-bad", options->max_bad, "Share of samples that may be damaged")
                ->check(CLI::Range(0.0, 1.0))
                ->capture_default_str();
            auto* captions = app.add_option("--captions", options->captions,
                                            "Synthetic captions of the same data, as recaption writes them");
            app.add_option("--mix", options->mix, "How often a sample takes the synthetic caption")
                ->check(CLI::Range(0.0, 1.0))
                ->needs(captions)
                ->capture_default_str();
            app.add_option(
                   "--deadline", options->deadline,
                   "Seconds over which the training file's schedules are stretched; they end the training")
                ->check(CLI::PositiveNumber)
                ->excludes("--resume");
            return [options, &common] { return train_transformer(*options, common); };
          }};
}

}  // namespace dalle1::tools
