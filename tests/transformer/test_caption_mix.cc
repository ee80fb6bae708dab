// Synthetic captions in a training of the transformer.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "core/error.h"
#include "tests/support/golden.h"
#include "tests/transformer/small_models.h"
#include "tests/transformer/small_training.h"
#include "transformer/caption_mix.h"
#include "transformer/trainer.h"

namespace dalle1::test {
namespace {

using namespace transformer;

std::string synthetic_of(size_t i) {
  return fmt::format("{} {} {}", kColours[i / 4 % 4], kShapes[i % 4], i / 16 ? "large" : "small");
}

// A line of each caption, those of `Pairs` by default.
std::filesystem::path write_captions_of(const ScratchDir& scratch,
                                        const std::vector<std::string>& originals) {
  const auto path = scratch / "captions.jsonl";
  std::ofstream file(path);
  for (size_t i = 0; i < originals.size(); ++i)
    file << nlohmann::json{{"image", "x"}, {"caption", synthetic_of(i)}, {"original", originals[i]}}.dump()
         << "\n\n";
  return path;
}

// As `Pairs` writes it, with other captions and several views of each picture.
void write_shard(const std::filesystem::path& path, const Pairs& pairs,
                 const std::function<std::string(size_t)>& caption, uint32_t views = 1) {
  TokenShardWriter writer(path, {4, 16, "dvae", ""});
  for (size_t i = 0; i < pairs.pictures.size(); ++i)
    for (uint32_t view = 0; view < views; ++view) writer.add(pairs.pictures[i], caption(i), view);
  writer.finish();
}

TransformerConfig config_of_pairs() {
  TransformerConfig config = small_config("paper", 2);
  config.text_length = 24;
  config.text_vocab = 48;
  config.image_vocab = 16;
  return config;
}

// The parameters that some steps on a shard and perhaps captions lead to.
std::vector<float> trained(const std::filesystem::path& run, const Pairs& pairs,
                           const std::filesystem::path& shard, std::shared_ptr<const CaptionMix> captions,
                           int64_t stop_after = -1) {
  const nlohmann::json json = {{"steps", 6},          {"batch", 4},         {"learning_rate", 2e-3},
                               {"seed", 5},           {"ema_decay", 0},     {"validation", 0},
                               {"text_dropout", 0.1}, {"bpe_dropout", 0.1}, {"accumulate", 2}};
  const TokenShards shards(shard);
  const auto device = make_cpu_device(1);
  Transformer model(*device, config_of_pairs());
  model.initialise(3);
  const auto options = train_options_from_json(json, config::field_names<TransformerTraining>());
  TransformerTask task(
      model, shards, *pairs.tokenizer, transformer_training_from_json(json, model.config()), options,
      [](const std::filesystem::path&) {}, std::move(captions));
  run_task(*device, task, options, run, json, stop_after);
  return all_values(model);
}

std::string refusal_of(const std::filesystem::path& file, const TokenShards& shards) {
  try {
    const CaptionMix mix(file, shards, 1);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::input);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("all captions synthetic: the training is that of shards with these captions; none: that without") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const auto file = write_captions_of(scratch, pairs.captions);
  const auto shard = scratch / "pairs.tokens", other = scratch / "synthetic.tokens";
  write_shard(other, pairs, synthetic_of);
  const TokenShards shards(shard);
  const auto mix = [&](double share) { return std::make_shared<const CaptionMix>(file, shards, share); };
  const auto original = trained(scratch / "original", pairs, shard, nullptr);
  const auto synthetic = trained(scratch / "synthetic", pairs, other, nullptr);
  CHECK(original != synthetic);
  CHECK(trained(scratch / "all", pairs, shard, mix(1)) == synthetic);
  CHECK(trained(scratch / "none", pairs, shard, mix(0)) == original);

  const auto half = trained(scratch / "half", pairs, shard, mix(0.5));
  CHECK(half != synthetic);
  CHECK(half != original);
  trained(scratch / "cut", pairs, shard, mix(0.5), 3);
  CHECK(trained(scratch / "cut", pairs, shard, mix(0.5)) == half);
}

TEST_CASE("which samples take the synthetic caption is a function of seed and position, in the share asked") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const auto file = write_captions_of(scratch, pairs.captions);
  const TokenShards shards(scratch / "pairs.tokens");
  const CaptionMix mix(file, shards, 0.3), again(file, shards, 0.3);
  constexpr int kPositions = 20000;
  int taken = 0, as_other_seed = 0;
  for (uint64_t position = 0; position < kPositions; ++position) {
    const bool takes = mix.takes_synthetic(7, position);
    CHECK(again.takes_synthetic(7, position) == takes);
    taken += takes;
    as_other_seed += mix.takes_synthetic(8, position) == takes;
  }
  CHECK(taken == doctest::Approx(0.3 * kPositions).epsilon(0.03));  // 1.4% is one deviation
  CHECK(as_other_seed == doctest::Approx(0.58 * kPositions).epsilon(0.03));
}

TEST_CASE("a line is of a picture with all its views, and may be blank") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  auto originals = pairs.captions;
  const auto file = write_captions_of(scratch, originals);
  write_shard(
      scratch / "views.tokens", pairs, [&](size_t i) { return pairs.captions[i]; }, 3);
  const TokenShards shards(scratch / "views.tokens");
  const CaptionMix mix(file, shards, 1);
  for (uint64_t record = 0; record < shards.size(); ++record)
    CHECK(mix.caption(record) == synthetic_of(record / 3));
  std::ofstream(file, std::ios::app) << "\n";
  CHECK(refusal_of(file, shards).empty());
  std::ofstream(file) << R"({"caption": " "})";
  TokenShardWriter one(scratch / "one.tokens", {4, 16, "dvae", ""});
  one.add(pairs.pictures[0], "a cat");
  one.finish();
  CHECK(CaptionMix(file, TokenShards(scratch / "one.tokens"), 1).caption(0).empty());
}

TEST_CASE("captions that are not those of the shards are refused, with file and line") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const TokenShards shards(scratch / "pairs.tokens");
  auto originals = pairs.captions;
  originals.pop_back();
  CHECK(refusal_of(write_captions_of(scratch, originals), shards)
            .find("captions.jsonl has 31 captions, and the shards have 32 pictures") != std::string::npos);
  originals.push_back(pairs.captions[0]);
  const auto refusal = refusal_of(write_captions_of(scratch, originals), shards);
  CHECK(refusal.find("captions.jsonl, line 63: a caption in the place of \"large red circle\"") !=
        std::string::npos);
  CHECK(refusal.find("'small black cross'") != std::string::npos);
  std::string lines;
  for (size_t i = 0; i < 32; ++i) lines += i == 4 ? "{\"image\": \"x\"}\n" : "{\"caption\": \"a cat\"}\n";
  std::ofstream(scratch / "bad.jsonl") << lines;
  CHECK(refusal_of(scratch / "bad.jsonl", shards).find("bad.jsonl, line 5: no \"caption\"") !=
        std::string::npos);
  CHECK(refusal_of(scratch / "absent.jsonl", shards).find("absent.jsonl") != std::string::npos);
}

TEST_CASE("damaged records keep their lines, so that the others have theirs") {
  const ScratchDir scratch;
  const Pairs pairs(scratch);
  const auto file = write_captions_of(scratch, pairs.captions);
  const auto shard = scratch / "pairs.tokens";
  std::ifstream in(shard, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  bytes[bytes.find(pairs.captions[5])] = 'X';
  std::ofstream(shard, std::ios::binary | std::ios::trunc) << bytes;
  const TokenShards shards(shard, /*check_records=*/false);
  const TokenSamples samples(shards, 0.1, [](const std::string&) {});
  const CaptionMix mix(file, shards, 1);
  REQUIRE(samples.size() == 31);
  CHECK(mix.caption(samples.record(4)) == synthetic_of(4));
  CHECK(mix.caption(samples.record(5)) == synthetic_of(6));
}

}  // namespace dalle1::test
