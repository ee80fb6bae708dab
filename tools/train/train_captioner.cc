// dalle1 train captioner: from token shards to a model folder.
#include <filesystem>

#include "tools/models/models.h"
#include "tools/train/training.h"
#include "transformer/caption_trainer.h"
#include "weights/describe.h"
#include "weights/load.h"
#include "weights/open.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct CaptionerOptions : TrainingOptions {
  double max_bad = 0.001;
};

// The configuration of the training file, with what the captioner shall read: the shards' codes and the
// tokenizer's ids.
transformer::CaptionerConfig complete_config(const nlohmann::json& architecture, TokenShardInfo info,
                                             const std::string& tokenizer_sha256, const std::string& data) {
  auto config = transformer::captioner_config_from_json(architecture);
  info.tokenizer_sha256 = tokenizer_sha256;
  check_inputs(config, info, data);
  config.dvae_sha256 = info.dvae_sha256;
  config.tokenizer_sha256 = tokenizer_sha256;
  return config;
}

// Where --dvae is given, it has to be the one of the shards.
void check_dvae(const CommonOptions& common, const TokenShardInfo& info, const std::string& data) {
  if (common.dvae.empty()) return;
  const auto dvae = open_part(common, "dvae");
  check(weights::sha256_of_tensors(dvae) == info.dvae_sha256, ErrorKind::model,
        "{}: codes of another dVAE than {}: make the shards with this one, or give theirs", data,
        dvae.source);
}

int train_captioner(const CaptionerOptions& options, const CommonOptions& common) {
  const TrainingFile file = read_training_file(options.config);
  TrainOptions train_options =
      train_options_from_json(file.train, config::field_names<transformer::CaptionTraining>());
  train_options.max_minutes = options.max_minutes;
  train_options.comm = job_comm();
  const auto training = transformer::caption_training_from_json(file.train);

  const fs::path tokenizer_path = find_text_tokenizer(common);
  const auto tokenizer = open_text_tokenizer(common);
  const TokenShards shards(options.data, /*check_records=*/false);
  check_dvae(common, shards.info(), options.data);
  const auto config = complete_config(file.architecture, shards.info(),
                                      weights::sha256_of_file(tokenizer_path), options.data);
  // Not more, either: all that a captioner writes has to be a text.
  check(tokenizer->vocab_size() == config.text_vocab, ErrorKind::model,
        "{} has {} tokens, and this captioner {}; set text_vocab to {}", tokenizer_path.string(),
        tokenizer->vocab_size(), config.text_vocab, tokenizer->vocab_size());
  DataReport data(common);
  const transformer::TokenSamples samples(shards, options.max_bad, data.on_bad());
  data.add({.samples = shards.size(), .without_caption = samples.without_caption()});

  const auto device = open_device(common);
  transformer::Captioner model(*device, config, training_precision(train_options, *device));
  if (options.init_from.empty())
    model.initialise(train_options.seed);
  else
    weights::load_parameters(model, weights::open_checkpoint({options.init_from}, nullptr, "captioner"));
  const TrainRun run = make_train_run(options, common,
                                      {{"architecture", transformer::to_json(config)},
                                       {"train", file.train},
                                       {"samples", samples.size()},
                                       {"init_from", options.init_from}});
  transformer::CaptionTask task(
      model, samples, *tokenizer, training, train_options, [&](const fs::path& folder) {
        export_with_tokenizer(model, "captioner", transformer::to_json(config),
                              {std::string(tokenizer->kind()), tokenizer_path}, folder);
      });
  return run_training(*device, task, train_options, run, common, data);
}

}  // namespace

Command train_captioner_command() {
  return {"train captioner", "Train a captioner, which tells how likely a text is given a picture's codes",
          "dalle1 train captioner --config tools/train/default/captioner.json --shards shards --tokenizer "
          "text.model "
          "--out runs/captioner",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<CaptionerOptions>();
            add_training_options(app, *options, "--shards");
            add_list_option(app, "--tokenizer", common.tokenizer,
                            "The captions' tokenizer (default: the model's)");
            add_list_option(app, "--dvae", common.dvae, "The dVAE that the shards have to be made with");
            app.add_option("--max-bad", options->max_bad, "Share of samples that may be damaged")
                ->check(CLI::Range(0.0, 1.0))
                ->capture_default_str();
            return [options, &common] { return train_captioner(*options, common); };
          }};
}

}  // namespace dalle1::tools
