// The losses of version 0.1.0's trainers and their checkpoints, against this version. See
// tests/golden/v0_1_0/README.md.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>

#include "clip/trainer.h"
#include "core/image/png.h"
#include "core/text/train_sentencepiece.h"
#include "dvae/trainer.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "transformer/trainer.h"
#include "weights/training_state.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

constexpr int kSteps = 20, kHalf = 10, kPictures = 16;
constexpr const char* kColours[] = {"red", "green", "blue", "black"};
constexpr const char* kSizes[] = {"small", "large"};

std::string caption_of(uint64_t i) {
  return fmt::format("a {} {} {}", kSizes[i / 4 % 2], kColours[i % 4], i / 8 % 2 ? "square" : "bar");
}

// A square or a bar, 32 x 32.
Image picture_of(uint64_t i) {
  constexpr uint8_t rgb[][3] = {{220, 30, 30}, {30, 200, 30}, {30, 30, 220}, {0, 0, 0}};
  Image image(32, 32, 3, 200);
  const int width = i / 4 % 2 ? 12 : 7, height = i / 8 % 2 ? width : 3;
  for (int y = 16 - height; y < 16 + height; ++y)
    for (int x = 16 - width; x < 16 + width; ++x) std::copy_n(rgb[i % 4], 3, image.at(x, y));
  return image;
}

class Pictures : public PairSource {
 public:
  uint64_t size() const override { return kPictures; }
  Pair picture(uint64_t i) const override {
    return {fmt::format("picture {}", i), "", encode_png(picture_of(i))};
  }
  std::string caption(uint64_t i) const override { return caption_of(i); }
};

std::shared_ptr<const text::Tokenizer> tokenizer() {
  uint64_t next = 0;
  text::SentencePieceTraining training;
  training.vocab_size = 32;
  training.character_coverage = 1.0;
  const auto bytes = text::train_sentencepiece(
      [&]() -> std::optional<std::string> {
        return next < kPictures ? std::optional(caption_of(next++)) : std::nullopt;
      },
      training);
  return text::parse_tokenizer(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                               "golden");
}

// The `train` object of a training file: what is common, and a model's own fields.
json training_of(const json& own) {
  json train = {{"steps", kSteps},
                {"batch", 4},
                {"learning_rate", {{"kind", "cosine"}, {"first", 2e-3}, {"last", 1e-4}, {"end", kSteps}}},
                {"beta2", 0.96},
                {"weight_decay", 0.045},
                {"clip_norm", 1},
                {"ema_decay", 0},
                {"seed", 5},
                {"log_every", 1},
                {"evaluate_every", kSteps},
                {"checkpoint_every", kHalf}};
  train.update(own);
  return train;
}

// Goes on in the folder to the end, or for `stop_after` steps; the losses of this call.
std::vector<double> losses_of(Device& device, TrainTask& task, const TrainOptions& options,
                              const json& settings, const fs::path& folder, int stop_after) {
  const weights::SafetensorsState format;
  std::vector<double> losses;
  TrainRun run;
  run.folder = folder;
  run.resume = true;
  run.settings = settings;
  run.format = &format;
  run.stop_requested = [&] { return static_cast<int>(losses.size()) == stop_after; };
  run.report = [&](const json& row) { losses.push_back(row.at("loss")); };
  fs::create_directories(folder);
  train(device, task, options, run);
  return losses;
}

std::vector<double> train_transformer(const fs::path& folder, int stop_after) {
  const ScratchDir scratch;
  TokenShardWriter writer(scratch / "pictures.tokens", {4, 16, "dvae", ""});
  for (uint64_t i = 0; i < kPictures; ++i) {
    std::vector<int32_t> tokens;
    for (uint64_t cell = 0; cell < 16; ++cell)
      tokens.push_back(static_cast<int32_t>((3 * i + cell % (2 + i / 8) + cell / 8) % 16));
    writer.add(tokens, caption_of(i));
  }
  writer.finish();
  const TokenShards shards(scratch / "pictures.tokens");
  const auto words = tokenizer();
  const auto device = make_cpu_device(1);
  transformer::TransformerConfig config;
  config.layers = 4;
  config.width = 8;
  config.heads = 1;
  config.text_length = 12;
  config.text_vocab = 32;
  config.grid = 4;
  config.image_vocab = 16;
  config.schedule.kernel = 3;
  transformer::Transformer model(*device, config);
  model.initialise(3);
  const auto file = training_of({{"accumulate", 2},
                                 {"ema_decay", 0.9},
                                 {"text_slots", 8},
                                 {"full_text_from", 0.5},
                                 {"text_dropout", 0.1},
                                 {"bpe_dropout", 0.1},
                                 {"validation", 4}});
  const auto options = train_options_from_json(file, config::field_names<transformer::TransformerTraining>());
  transformer::TransformerTask task(model, shards, *words,
                                    transformer::transformer_training_from_json(file, config), options,
                                    [](const fs::path&) {});
  return losses_of(*device, task, options, file, folder, stop_after);
}

std::vector<double> train_clip(const fs::path& folder, int stop_after) {
  const auto file = training_of({{"near_misses", 2},
                                 {"soften_share", 0.3},
                                 {"evaluate_pairs", 16},
                                 {"evaluate_group", 16},
                                 {"ignored_words", {"a"}},
                                 {"word_classes", {{"colour", kColours}, {"size", kSizes}}}});
  const auto options = train_options_from_json(file, config::field_names<clip::ClipTraining>());
  const auto config = clip::clip_config_from_json({{"embed_dim", 8},
                                                   {"image_resolution", 32},
                                                   {"vision_layers", {1, 1, 1, 1}},
                                                   {"vision_width", 2},
                                                   {"vision_patch_size", nullptr},
                                                   {"context_length", 16},
                                                   {"vocab_size", 32},
                                                   {"transformer_width", 16},
                                                   {"transformer_heads", 1},
                                                   {"transformer_layers", 1},
                                                   {"end_token", 3}});
  const auto device = make_cpu_device(1);
  const auto pictures = std::make_shared<const Pictures>();
  clip::ClipTask task(*device, config, clip::ClipTraining::from_json(file, 7), tokenizer(), 7);
  PairReader held_out(pictures, clip::reading_of({}));
  task.set_data(pictures, nullptr, clip::read_held_out(held_out, kPictures, 32));
  task.set_exporter([](clip::Clip&, const fs::path&) {});
  return losses_of(*device, task, options, file, folder, stop_after);
}

std::vector<double> train_dvae(const std::string& quantiser, const fs::path& folder, int stop_after) {
  const auto file = training_of({{"crop", 16},
                                 {"resolution", 32},
                                 {"evaluate_pictures", 4},
                                 {"sheet_pictures", 0},
                                 {"temperature", 0.8},
                                 {"vq", {{"continuous_steps", 4}, {"dimensions", 4}, {"decay", 0.9}}}});
  const auto options = train_options_from_json(file, config::field_names<dvae::DvaeTraining>());
  const auto config = dvae::OpenAiConfig::from_json({{"hidden", 8},
                                                     {"decoder_init", 8},
                                                     {"groups", 2},
                                                     {"blocks_per_group", 1},
                                                     {"codes", 12},
                                                     {"post_gain", 0.25},
                                                     {"quantiser", quantiser}});
  const auto device = make_cpu_device(1);
  dvae::DvaeTask task(*device, config, dvae::DvaeTraining::from_json(file, options), 5);
  const auto reader = std::make_shared<PairReader>(std::make_shared<Pictures>(), PairReaderOptions());
  task.set_data(reader, dvae::read_held_out(*reader, 4, 32));
  task.set_output(folder, [](dvae::OpenAiDvae&, const fs::path&) {});
  return losses_of(*device, task, options, file, folder, stop_after);
}

using Training = std::function<std::vector<double>(const fs::path& folder, int stop_after)>;

const std::vector<std::pair<std::string, Training>>& trainings() {
  static const std::vector<std::pair<std::string, Training>> all = {
      {"transformer", train_transformer},
      {"clip", train_clip},
      {"dvae", std::bind_front(train_dvae, "vq")},
      {"dvae_gumbel", std::bind_front(train_dvae, "gumbel")}};
  return all;
}

fs::path golden_folder() { return fs::path(DALLE1_SOURCE_DIR) / "tests/golden/v0_1_0"; }

std::string checkpoint_name() { return fmt::format("checkpoint-{:08}.safetensors", kHalf); }

std::vector<double> golden_losses(const std::string& name) {
  const auto path = test::golden("v0_1_0/losses.json");
  return json::parse(test::content_of(path)).at(name).get<std::vector<double>>();
}

void check_losses(const std::vector<double>& losses, std::span<const double> golden) {
  REQUIRE(losses.size() == golden.size());
  for (size_t step = 0; step < losses.size(); ++step) {
    CAPTURE(step);
    CHECK(losses[step] == doctest::Approx(golden[step]).epsilon(5e-4));
  }
}

}  // namespace

TEST_CASE("each trainer's first losses are those of 0.1.0") {
  for (const auto& [name, train] : trainings()) {
    CAPTURE(name);
    const ScratchDir scratch;
    check_losses(train(scratch.path(), -1), golden_losses(name));
  }
}

TEST_CASE("each trainer goes on from a checkpoint of 0.1.0") {
  for (const auto& [name, train] : trainings()) {
    CAPTURE(name);
    const ScratchDir scratch;
    fs::create_directories(scratch / "checkpoints");
    fs::copy_file(test::golden("v0_1_0/" + name + ".safetensors"),
                  scratch / "checkpoints" / checkpoint_name());
    const auto golden = golden_losses(name);
    check_losses(train(scratch.path(), -1), std::span(golden).subspan(kHalf));
  }
}

TEST_CASE("write the trainings of the goldens" * doctest::skip()) {
  json losses;
  for (const auto& [name, train] : trainings()) {
    const ScratchDir scratch;
    auto all = train(scratch.path(), kHalf);
    fs::copy_file(scratch / "checkpoints" / checkpoint_name(), golden_folder() / (name + ".safetensors"),
                  fs::copy_options::overwrite_existing);
    const auto rest = train(scratch.path(), -1);
    all.insert(all.end(), rest.begin(), rest.end());
    losses[name] = all;
  }
  std::ofstream(golden_folder() / "losses.json") << losses.dump(1) << "\n";
}
