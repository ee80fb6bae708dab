// Training end to end on token shards: golden curve, memory of 32 pairs, resume.
#include <doctest/doctest.h>

#include <set>

#include "tests/support/golden.h"
#include "tests/transformer/small_models.h"
#include "tests/transformer/small_training.h"
#include "transformer/decoder.h"
#include "transformer/trainer.h"

namespace dalle1::test {
namespace {

using namespace transformer;

TransformerConfig trained_config() {
  TransformerConfig config = small_config("paper", 4);
  config.width = 48;
  config.heads = 3;
  config.text_length = 24;
  config.text_vocab = 48;
  config.image_vocab = 16;
  return config;
}

// Trains in `folder`; returns the rows that were logged.
std::vector<nlohmann::json> run(const std::filesystem::path& folder, const TokenShards& shards,
                                const text::Tokenizer& tokenizer, Transformer& model,
                                const nlohmann::json& train_json, int64_t stop_after = -1) {
  const TrainOptions options =
      train_options_from_json(train_json, config::field_names<TransformerTraining>());
  const auto training = transformer_training_from_json(train_json, model.config());
  TransformerTask task(model, shards, tokenizer, training, options, [](const std::filesystem::path&) {});
  return run_task(model.device(), task, options, folder, train_json, stop_after);
}

const nlohmann::json kShort = {{"steps", 10},
                               {"batch", 4},
                               {"learning_rate", 2e-3},
                               {"beta2", 0.96},
                               {"weight_decay", .045},
                               {"clip_norm", 1},
                               {"ema_decay", 0.9},
                               {"accumulate", 2},
                               {"seed", 5},
                               {"log_every", 1},
                               {"evaluate_every", 100},
                               {"checkpoint_every", 100},
                               {"text_slots", 12},
                               {"full_text_from", 0.5},
                               {"text_dropout", 0.1},
                               {"bpe_dropout", 0.1},
                               {"validation", 4}};

TEST_CASE("ten steps follow the golden loss curve, and a resumed run the bits of an uninterrupted one") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  Transformer whole(*device, trained_config());
  whole.initialise(3);
  const auto rows = run(scratch / "whole", shards, *pairs.tokenizer, whole, kShort);
  REQUIRE(rows.size() == 10);
  // Of this program; its gradients are checked against finite differences in test_model.cc.
  const double golden[] = {3.23516, 2.97412, 2.64937, 2.56331, 2.12127,
                           2.05346, 2.00481, 1.68195, 1.61579, 1.43947};
  for (size_t step = 0; step < rows.size(); ++step) {
    CAPTURE(step);
    CHECK(rows[step]["loss"].get<double>() == doctest::Approx(golden[step]).epsilon(1e-3));
  }
  CHECK(rows.back().contains("validation_image_bits"));

  Transformer resumed(*device, trained_config());
  resumed.initialise(3);
  run(scratch / "resumed", shards, *pairs.tokenizer, resumed, kShort, /*stop_after=*/4);
  Transformer anew(*device, trained_config());  // what it held before the resume must not matter
  anew.initialise(9);
  run(scratch / "resumed", shards, *pairs.tokenizer, anew, kShort);
  CHECK(all_values(whole) == all_values(anew));
  CHECK(all_values(whole) != all_values(resumed));
}

TEST_CASE("Muon learns faster than AdamW at its side, and resumes to the bit") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  auto json = kShort;
  const auto last_loss = [&](const char* optimizer, Transformer& model, const char* folder,
                             int64_t stop_after) {
    json["optimizer"] = optimizer;
    const auto rows = run(scratch / folder, shards, *pairs.tokenizer, model, json, stop_after);
    return rows.back()["loss"].get<double>();
  };
  Transformer adamw(*device, trained_config()), muon(*device, trained_config()),
      resumed(*device, trained_config());
  for (Transformer* model : {&adamw, &muon, &resumed}) model->initialise(3);
  CHECK(last_loss("muon", muon, "muon", -1) < last_loss("adamw", adamw, "adamw", -1) - 0.02);
  last_loss("muon", resumed, "resumed", 4);
  last_loss("muon", resumed, "resumed", -1);
  CHECK(all_values(muon) == all_values(resumed));
}

TEST_CASE("32 pairs are learned by heart, and greedy sampling gives the pictures back") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto device = make_cpu_device(1);
  TransformerConfig config = trained_config();
  config.layers = 2;
  Transformer model(*device, config);
  model.initialise(3);
  nlohmann::json train_json = kShort;
  train_json.update({{"steps", 100},
                     {"batch", 32},
                     {"accumulate", 1},
                     {"learning_rate", 6e-3},
                     {"validation", 0},
                     {"text_dropout", 0},
                     {"bpe_dropout", 0},
                     {"ema_decay", 0},
                     {"log_every", 20}});
  const auto rows = run(scratch / "run", shards, *pairs.tokenizer, model, train_json);
  CHECK(rows.back()["image_nats"].get<double>() < 0.05);
  Context context(*device);
  int right = 0;
  for (size_t i = 0; i < pairs.captions.size(); ++i) {
    DecodeRequest request;
    request.text = fill_text_slots(model.config(), pairs.tokenizer->encode(pairs.captions[i]), {});
    request.sampling.rule.temperature = 0;
    const uint32_t candidate = 0;
    const auto decoded = Decoder(context, model, request).decode(std::span(&candidate, 1));
    right += std::equal(decoded.tokens.begin(), decoded.tokens.end(), pairs.pictures[i].begin());
  }
  CHECK(right == 32);
}

TEST_CASE("training files name what is wrong in them") {
  TransformerConfig config = trained_config();
  CHECK_THROWS_WITH_AS(transformer_training_from_json({{"text_slots", 1000}}, config),
                       doctest::Contains("text_slots"), Error);
  CHECK_THROWS_WITH_AS(transformer_training_from_json({{"batch", "x"}}, config), doctest::Contains("train"),
                       Error);
  CHECK_THROWS_AS(transformer_training_from_json({{"text_dropout", 1.5}}, config), Error);
}

}  // namespace
}  // namespace dalle1::test
