// Training end to end on token shards: golden curve, memory of 32 pairs, resume.
#include <doctest/doctest.h>

#include <set>

#include "core/text/train_sentencepiece.h"
#include "tests/support/golden.h"
#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"
#include "transformer/trainer.h"
#include "weights/training_state.h"

namespace dalle1::test {
namespace {

using namespace transformer;

const char* const kColours[] = {"red", "green", "blue", "black"};
const char* const kShapes[] = {"circle", "square", "ring", "cross"};

// 32 captions, each with a picture of its own on a 4 x 4 grid.
struct Pairs {
  explicit Pairs(const ScratchDir& scratch) {
    TokenShardWriter writer(scratch / "pairs.tokens", {4, 16, "dvae", ""});
    for (int i = 0; i < 32; ++i) {
      captions.push_back(
          fmt::format("{} {} {}", i / 16 ? "small" : "large", kColours[i % 4], kShapes[i / 4 % 4]));
      std::vector<int32_t> tokens;
      for (int cell = 0; cell < 16; ++cell) {
        tokens.push_back((i % 4 * 3 + (cell + i / 4 % 4) % 3 + (i / 16) * (cell / 8)) % 16);
      }
      pictures.push_back(tokens);
      writer.add(tokens, captions.back());
    }
    writer.finish();
    size_t next = 0;
    const std::string model = text::train_sentencepiece(
        [&]() -> std::optional<std::string> {
          return next < captions.size() ? std::optional(captions[next++]) : std::nullopt;
        },
        {48, 1.0, false});
    tokenizer =
        text::parse_tokenizer(std::span(reinterpret_cast<const uint8_t*>(model.data()), model.size()), "bpe");
  }
  std::vector<std::string> captions;
  std::vector<std::vector<int32_t>> pictures;
  std::unique_ptr<text::Tokenizer> tokenizer;
};

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
  const weights::SafetensorsState format;
  const TrainOptions options =
      train_options_from_json(train_json, config::field_names<TransformerTraining>());
  const auto training = transformer_training_from_json(train_json, model.config());
  TransformerTask task(model, shards, tokenizer, training, options, [](const std::filesystem::path&) {});
  std::vector<nlohmann::json> rows;
  int64_t polled = 0;
  TrainRun setup;
  setup.folder = folder;
  setup.resume = true;
  setup.settings = train_json;
  setup.format = &format;
  setup.stop_requested = [&] { return ++polled == stop_after; };
  setup.report = [&](const nlohmann::json& row) { rows.push_back(row); };
  std::filesystem::create_directories(folder);
  train(model.device(), task, options, setup);
  return rows;
}

std::vector<float> all_values(Transformer& model) {
  std::vector<float> all;
  model.visit([&](const std::string&, Tensor& parameter) {
    const auto values = parameter.to_floats();
    all.insert(all.end(), values.begin(), values.end());
  });
  return all;
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
    const auto decoded = Decoder(context, model, request).decode(context, std::span(&candidate, 1));
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
