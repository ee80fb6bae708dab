// Training of a captioner: memory of 32 pairs, what it holds without a picture, resume, bad input.
#include <doctest/doctest.h>

#include "tests/transformer/small_training.h"
#include "transformer/caption_decoder.h"
#include "transformer/caption_trainer.h"

namespace dalle1::test {
namespace {

using namespace transformer;

CaptionerConfig trained_captioner_config() {
  CaptionerConfig config;
  config.layers = 2;
  config.width = 32;
  config.heads = 2;
  config.text_slots = 16;
  config.text_vocab = 48;
  config.grid = 4;
  config.image_vocab = 16;
  config.code_width = 16;
  config.activation = "relu_squared";
  config.qk_norm = true;
  return config;
}

const nlohmann::json kCaptionTraining = {{"steps", 8},          {"batch", 8},
                                         {"optimizer", "muon"}, {"learning_rate", 4e-3},
                                         {"ema_decay", 0.9},    {"accumulate", 2},
                                         {"seed", 5},           {"log_every", 1},
                                         {"evaluate_every", 8}, {"checkpoint_every", 100},
                                         {"validation", 4},     {"condition_dropout", 0.25}};

std::vector<nlohmann::json> run_captioner(const std::filesystem::path& folder, const TokenShards& shards,
                                          const text::Tokenizer& tokenizer, Captioner& model,
                                          const nlohmann::json& train_json, int64_t stop_after = -1) {
  const TrainOptions options = train_options_from_json(train_json, config::field_names<CaptionTraining>());
  CaptionTask task(model, shards, tokenizer, caption_training_from_json(train_json), options,
                   [](const std::filesystem::path&) {});
  return run_task(model.device(), task, options, folder, train_json, stop_after);
}

}  // namespace

TEST_CASE("a captioner's resumed training has the bits of an uninterrupted one") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  Captioner whole(*device, trained_captioner_config()), resumed(*device, trained_captioner_config());
  whole.initialise(3);
  const auto rows = run_captioner(scratch / "whole", shards, *pairs.tokenizer, whole, kCaptionTraining);
  REQUIRE(rows.size() == 8);
  CHECK(rows.back()["loss"].get<double>() < rows.front()["loss"].get<double>() - 0.5);
  CHECK(rows.back().contains("validation_nats"));
  CHECK(rows.back().contains("validation_null_nats"));
  resumed.initialise(3);
  run_captioner(scratch / "resumed", shards, *pairs.tokenizer, resumed, kCaptionTraining, /*stop_after=*/3);
  CHECK(all_values(whole) != all_values(resumed));
  resumed.initialise(9);  // what it held before the resume must not matter
  run_captioner(scratch / "resumed", shards, *pairs.tokenizer, resumed, kCaptionTraining);
  CHECK(all_values(whole) == all_values(resumed));
}

TEST_CASE("a captioner learns 32 captions by heart, and knows their likelihood without the picture") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  Captioner model(*device, trained_captioner_config());
  model.initialise(3);
  nlohmann::json train_json = kCaptionTraining;
  train_json.update({{"steps", 160},
                     {"batch", 32},
                     {"learning_rate", 8e-3},
                     {"accumulate", 1},
                     {"validation", 0},
                     {"log_every", 20}});
  run_captioner(scratch / "run", shards, *pairs.tokenizer, model, train_json);

  Context context(*device);
  std::vector<int64_t> codes;
  std::vector<std::vector<int32_t>> texts;
  for (size_t i = 0; i < pairs.captions.size(); ++i) {
    codes.insert(codes.end(), pairs.pictures[i].begin(), pairs.pictures[i].end());
    texts.push_back(pairs.tokenizer->encode(pairs.captions[i]));
  }
  const Tensor vectors = model.picture_vectors(context, {Tensor::from(*device, {32, 4, 4}, codes), {}});
  const auto captions = write_captions(context, model, vectors, {});
  int right = 0;
  for (size_t i = 0; i < 32; ++i) right += pairs.tokenizer->decode(captions[i].ids) == pairs.captions[i];
  CHECK(right == 24);  // the picture of a circle is that of a cross: one of two is said

  // Of 32 equally frequent captions each has a likelihood of about 1 / 32 without its picture.
  const CaptionRows one = caption_rows(*device, model.config(), std::span(texts).first(1), false);
  const double null = log_likelihood(context, model, model.null_vectors(context), one).front();
  CHECK(null == doctest::Approx(-std::log(32.0)).epsilon(0.25));
  CHECK(log_likelihood(context, model, vectors.rows(0, 1), one).front() ==
        doctest::Approx(-std::log(2.0)).epsilon(0.1));
}

TEST_CASE("a captioner's training names what is wrong") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  CHECK_THROWS_WITH_AS(caption_training_from_json({{"condition_dropout", 1.0}}),
                       doctest::Contains("condition_dropout"), Error);
  CHECK_THROWS_WITH_AS(caption_training_from_json({{"batch", 0}}), doctest::Contains("batch"), Error);
  CaptionerConfig config = trained_captioner_config();
  config.condition = "clip";
  Captioner blind(*device, config);
  CHECK_THROWS_WITH_AS(run_captioner(scratch / "run", shards, *pairs.tokenizer, blind, kCaptionTraining),
                       doctest::Contains("use condition grid"), Error);
  config = trained_captioner_config();
  config.grid = 5;
  Captioner other(*device, config);
  CHECK_THROWS_WITH_AS(run_captioner(scratch / "run", shards, *pairs.tokenizer, other, kCaptionTraining),
                       doctest::Contains("this captioner's grid is 5 x 5"), Error);
}

}  // namespace dalle1::test
