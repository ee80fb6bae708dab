// The contrastive loss against double precision, its gradients against differences, batches that depend on
// their number alone, and a CLIP that learns.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "clip/contrastive_loss.h"
#include "clip/preprocess.h"
#include "clip/trainer.h"
#include "core/grad/tape.h"
#include "core/image/image.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/ops/linear.h"
#include "core/ops/reduce.h"
#include "core/text/sentencepiece_tokenizer.h"
#include "core/text/train_sentencepiece.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "weights/training_state.h"

namespace dalle1::test {
namespace {

constexpr int64_t kPairs = 3, kPictures = 4, kTexts = 5, kWidth = 4;

struct LossCase {
  std::shared_ptr<Device> device = make_cpu_device(1);
  std::vector<float> images, texts, excluded = std::vector<float>(kPictures * kTexts, 0.0f);
  float logit_scale = 1.3f;

  LossCase() {
    RandomStream random(1, Stream::test);
    for (int64_t i = 0; i < kPictures * kWidth; ++i) images.push_back(random.normal());
    for (int64_t i = 0; i < kTexts * kWidth; ++i) texts.push_back(random.normal());
    excluded[0 * kTexts + 1] = excluded[2 * kTexts + 4] = excluded[3 * kTexts + 2] = clip::kExcluded;
  }

  Tensor loss(Context& context, const Tensor& image, const Tensor& text, const Tensor& scale) const {
    return clip::contrastive_loss(context, image, text, kPairs, scale,
                                  Tensor::from(*device, {kPictures, kTexts}, excluded));
  }

  double reference() const {
    auto norm = [](const float* x) {
      double sum = 0;
      for (int64_t i = 0; i < kWidth; ++i) sum += double{x[i]} * x[i];
      return std::sqrt(sum);
    };
    double logits[kPictures][kTexts];
    for (int64_t i = 0; i < kPictures; ++i) {
      for (int64_t j = 0; j < kTexts; ++j) {
        double sum = 0;
        for (int64_t c = 0; c < kWidth; ++c) sum += double{images[i * kWidth + c]} * texts[j * kWidth + c];
        logits[i][j] = sum / norm(&images[i * kWidth]) / norm(&texts[j * kWidth]) * std::exp(logit_scale);
      }
    }
    double total = 0;
    for (int64_t i = 0; i < kPairs; ++i) {
      double over_texts = 0, over_pictures = 0;
      for (int64_t j = 0; j < kTexts; ++j)
        if (excluded[i * kTexts + j] == 0) over_texts += std::exp(logits[i][j]);
      for (int64_t k = 0; k < kPictures; ++k)
        if (excluded[k * kTexts + i] == 0) over_pictures += std::exp(logits[k][i]);
      total += std::log(over_texts) + std::log(over_pictures) - 2 * logits[i][i];
    }
    return total / (2 * kPairs);
  }
};

std::unique_ptr<text::Tokenizer> small_tokenizer(const std::filesystem::path* file = nullptr) {
  const std::vector<std::string> colours{"red", "green", "blue", "black"}, shapes{"square", "bar"};
  std::vector<std::string> captions;
  for (const auto& colour : colours)
    for (const auto& shape : shapes) captions.push_back("a " + colour + " " + shape);
  size_t next = 0;
  text::SentencePieceTraining training;
  training.vocab_size = 32;
  training.character_coverage = 1.0;
  const std::string bytes = text::train_sentencepiece(
      [&]() -> std::optional<std::string> {
        return next < captions.size() ? std::optional(captions[next++]) : std::nullopt;
      },
      training);
  if (file) write_file_atomically(*file, bytes);
  return text::parse_sentencepiece({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "small");
}

// Squares and bars of four colours on grey: eight captions, three pictures each.
std::unique_ptr<PairSource> small_data(const std::filesystem::path& folder) {
  const std::vector<std::pair<std::string, std::array<uint8_t, 3>>> colours{
      {"red", {220, 30, 30}}, {"green", {30, 200, 30}}, {"blue", {30, 30, 220}}, {"black", {0, 0, 0}}};
  std::string lines;
  int number = 0;
  for (const auto& [name, rgb] : colours) {
    for (const bool square : {true, false}) {
      for (int copy = 0; copy < 3; ++copy, ++number) {
        Image image(32, 32, 3, 200);
        for (int y = square ? 8 : 13; y < (square ? 24 : 19); ++y)
          for (int x = square ? 8 : 2; x < (square ? 24 : 30); ++x)
            std::copy(rgb.begin(), rgb.end(), image.at(x, y + copy - 1));
        const std::string file = std::to_string(number) + ".png";
        write_png(folder / file, image);
        lines +=
            nlohmann::json{{"image", file}, {"caption", "a " + name + (square ? " square" : " bar")}}.dump() +
            "\n";
      }
    }
  }
  write_file_atomically(folder / "captions.jsonl", lines);
  return open_pairs(folder.string());
}

// What a model drew for "a red square" and "a green square": squares with a hole; and a bar nobody asked for.
std::unique_ptr<PairSource> drawn_data(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::string lines;
  for (const auto& [name, rgb] :
       std::vector<std::pair<std::string, std::array<uint8_t, 3>>>{{"a pink bar", {250, 150, 200}},
                                                                   {"a red square", {220, 30, 30}},
                                                                   {"a green square", {30, 200, 30}}}) {
    Image image(32, 32, 3, 200);
    for (int y = 8; y < 24; ++y)
      for (int x = 8; x < 24; ++x)
        if (x < 12 || x >= 20 || y < 12 || y >= 20) std::copy(rgb.begin(), rgb.end(), image.at(x, y));
    write_png(folder / (name + ".png"), image);
    lines += nlohmann::json{{"image", name + ".png"}, {"caption", name}}.dump() + "\n";
  }
  write_file_atomically(folder / "captions.jsonl", lines);
  return open_pairs(folder.string());
}

clip::ClipConfig small_config(bool resnet) {
  nlohmann::json json = {{"embed_dim", 16},         {"image_resolution", 32},  {"vision_layers", 1},
                         {"vision_width", 64},      {"vision_patch_size", 8},  {"context_length", 16},
                         {"vocab_size", 32},        {"transformer_width", 32}, {"transformer_heads", 1},
                         {"transformer_layers", 1}, {"end_token", 3}};
  if (resnet) {
    json["vision_layers"] = {1, 1, 1, 1};
    json["vision_width"] = 8;
    json["vision_patch_size"] = nullptr;
  }
  return clip::clip_config_from_json(json);
}

clip::ClipTraining small_training() {
  return clip::ClipTraining::from_json(nlohmann::json::parse(R"({
    "batch": 8, "near_misses": 2, "soften_share": 0.3, "evaluate_pairs": 24, "evaluate_group": 24,
    "ignored_words": ["a"],
    "word_classes": {"colour": ["red", "green", "blue", "black"], "shape": ["square", "bar"]}})"),
                                       7);
}

std::vector<clip::HeldOutPair> held_out_of(std::shared_ptr<const PairSource> source) {
  PairReader reader(std::move(source), clip::reading_of({}));
  return clip::read_held_out(reader, 24, 32);
}

// 250 steps; gives the last row of metrics.
nlohmann::json train_small(Device& device, clip::ClipTask& task, const std::filesystem::path& folder) {
  task.set_exporter([](clip::Clip&, const std::filesystem::path&) {});
  TrainOptions options;
  options.steps = options.evaluate_every = options.checkpoint_every = 250;
  options.learning_rate = {ScheduleKind::cosine, 2e-3, 0.0, 20, 20, 250};
  options.optimizer.clip_norm = 1;
  options.ema_decay = 0;
  const weights::SafetensorsState format;
  TrainRun run;
  run.folder = folder;
  run.format = &format;
  std::filesystem::create_directories(run.folder);
  nlohmann::json last;
  run.report = [&](const nlohmann::json& row) { last = row; };
  train(device, task, options, run);
  return last;
}

}  // namespace

TEST_CASE("the contrastive loss is that of the paper, without what is excluded") {
  const LossCase c;
  Context context(*c.device);
  const Tensor loss =
      c.loss(context, Tensor::from(*c.device, {kPictures, kWidth}, c.images),
             Tensor::from(*c.device, {kTexts, kWidth}, c.texts), Tensor::full(*c.device, {}, c.logit_scale));
  CHECK(loss.item() == doctest::Approx(c.reference()).epsilon(1e-5));
}

TEST_CASE("gradients of the contrastive loss are its slopes") {
  LossCase c;
  const Tensor image = Tensor::from(*c.device, {kPictures, kWidth}, c.images);
  const Tensor text = Tensor::from(*c.device, {kTexts, kWidth}, c.texts);
  const Tensor scale = Tensor::full(*c.device, {}, c.logit_scale);
  Tape tape;
  for (const Tensor& leaf : {image, text, scale}) tape.watch(leaf);
  Context context(*c.device, &tape);
  tape.backward(c.loss(context, image, text, scale));
  constexpr float h = 1e-3f;
  auto check_slopes = [&](std::vector<float>& values, const Tensor& leaf) {
    const auto gradient = tape.gradient(leaf).to_floats();
    for (size_t i = 0; i < values.size(); ++i) {
      const float value = values[i];
      values[i] = value + h;
      const double above = c.reference();
      values[i] = value - h;
      const double below = c.reference();
      values[i] = value;
      CHECK(gradient[i] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-3).scale(0.1));
    }
  };
  check_slopes(c.images, image);
  check_slopes(c.texts, text);
  c.logit_scale += h;
  const double above = c.reference();
  c.logit_scale -= 2 * h;
  CHECK(tape.gradient(scale).item() == doctest::Approx((above - c.reference()) / (2 * h)).epsilon(1e-3));
}

TEST_CASE("a batch depends on its number alone") {
  const ScratchDir scratch;
  const std::shared_ptr<const PairSource> source = small_data(scratch.path());
  const auto training = small_training();
  auto batch = [&](const std::vector<int64_t>& numbers) {
    clip::PairBatches batches(source, nullptr, training.word_classes, training.batches, 32);
    clip::PairBatch last;
    for (const int64_t number : numbers) last = batches.get(number);
    return last;
  };
  const auto direct = batch({5}), after_others = batch({0, 1, 5});
  CHECK(direct.captions == after_others.captions);
  CHECK(direct.near_miss_of == after_others.near_miss_of);
  REQUIRE(direct.pictures.size() == 8);
  for (size_t i = 0; i < 8; ++i) CHECK(direct.pictures[i].pixels == after_others.pictures[i].pixels);
  CHECK(batch({6}).captions != direct.captions);
  for (size_t i = 0; i < direct.near_miss_of.size(); ++i)
    CHECK(direct.captions[8 + i] != direct.captions[direct.near_miss_of[i]]);
}

TEST_CASE("pairs that are broken or have no caption are named, and others take their place") {
  const ScratchDir scratch;
  small_data(scratch.path());
  const std::string lines = test::content_of(scratch / "captions.jsonl");
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string changed = lines;
    return changed.replace(changed.find(from), from.size(), to);
  };
  write_file_atomically(scratch / "3.png", "no picture");
  write_file_atomically(scratch / "captions.jsonl", replaced("a red bar", "  "));  // of 3.png
  write_png(scratch / "5.png", Image(300, 1, 3, 90));                              // thin, but a picture
  auto training = small_training();
  std::vector<std::string> named;
  training.batches.on_bad = [&](const std::string& line) { named.push_back(line); };
  const std::shared_ptr<const PairSource> source = open_pairs(scratch.path().string());
  auto batches = [&] {
    clip::PairBatches made(source, nullptr, training.word_classes, training.batches, 32);
    std::vector<clip::PairBatch> all;
    for (int64_t number = 0; number < 6; ++number) all.push_back(made.get(number));
    return all;
  };
  const auto all = batches(), again = batches();
  for (const auto& batch : all) {
    REQUIRE(batch.pictures.size() == 8);
    for (const auto& caption : batch.captions) CHECK_FALSE(caption.empty());
  }
  CHECK(all.back().pictures.back().pixels == again.back().pictures.back().pixels);
  REQUIRE(named.size() == 2);  // once in each
  CHECK(named[0].find("3.png") != std::string::npos);

  training.batches.max_bad = 0;
  CHECK_THROWS_WITH_AS(batches(), doctest::Contains("1 of 24 samples are broken, more than the 0 allowed"),
                       Error);
  training.batches.max_bad = 0.001;
  PairReader reader(source, clip::reading_of(training.batches));
  CHECK(clip::read_held_out(reader, 24, 32).size() == 23);
  CHECK(clip::read_held_out(reader, 12, 32).size() == 12);
}

TEST_CASE("near misses say nothing that no caption says") {
  const ScratchDir scratch;
  std::string captions;
  for (const char* caption : {"a red square", "a green square", "a blue disc", "a red disc"}) {
    write_png(scratch / fmt::format("{}.png", caption), Image(8, 8, 3));
    captions += fmt::format("{{\"image\": \"{}.png\", \"caption\": \"{}\"}}\n", caption, caption);
  }
  write_file_atomically(scratch / "captions.jsonl", captions);
  auto training = small_training();
  training.batches.near_misses = 8;
  training.word_classes = clip::WordClasses(nlohmann::json::parse(
      R"({"colour": ["red", "green", "blue", "black"], "shape": ["square", "disc", "bar"]})"));
  clip::PairBatches batches(open_pairs(scratch.path().string()), nullptr, training.word_classes,
                            training.batches, 32);
  std::set<std::string> seen;
  for (int64_t number = 0; number < 20; ++number) {
    const auto batch = batches.get(number);
    seen.insert(batch.captions.begin() + static_cast<int64_t>(batch.pictures.size()), batch.captions.end());
  }
  CHECK(seen == std::set<std::string>{"a red square", "a green square", "a blue disc", "a red disc"});
}

TEST_CASE("drawn pictures come with the pairs that they are wrong for") {
  const ScratchDir scratch;
  const std::shared_ptr<const PairSource> source = small_data(scratch.path());
  const std::shared_ptr<const PairSource> drawn = drawn_data(scratch / "drawn");
  auto training = small_training();
  training.batches.drawn = 3;
  clip::PairBatches batches(source, drawn, training.word_classes, training.batches, 32);
  const auto batch = batches.get(4);
  REQUIRE(batch.pictures.size() == 8 + 3);
  REQUIRE(batch.drawn_for.size() == 3);
  for (const auto caption : batch.drawn_for) {
    const auto& text = batch.captions[static_cast<size_t>(caption)];
    CHECK((text == "a red square" || text == "a green square"));
  }
  clip::PairBatches again(source, drawn, training.word_classes, training.batches, 32);
  again.get(0);
  const auto same = again.get(4);
  CHECK(same.captions == batch.captions);
  CHECK(same.pictures.back().pixels == batch.pictures.back().pixels);

  training.batches.drawn = 8;
  CHECK_THROWS_AS(clip::PairBatches(source, drawn, training.word_classes, training.batches, 32), Error);
  std::filesystem::create_directories(scratch / "others");
  write_file_atomically(scratch / "others" / "captions.jsonl",
                        R"({"image": "../drawn/a pink bar.png", "caption": "a pink bar"})");
  training.batches.drawn = 3;
  const std::shared_ptr<const PairSource> others = open_pairs((scratch / "others").string());
  CHECK_THROWS_WITH_AS(clip::PairBatches(source, others, training.word_classes, training.batches, 32),
                       doctest::Contains("no drawn picture has the caption of a pair"), Error);
}

TEST_CASE("a caption learns to prefer its picture to what was drawn for it") {
  const ScratchDir scratch;
  const std::shared_ptr<const PairSource> source = small_data(scratch.path());
  const std::shared_ptr<const PairSource> drawn = drawn_data(scratch / "drawn");
  const auto device = make_cpu_device(1);
  auto training = small_training();
  training.batches.drawn = 2;
  clip::ClipTask task(*device, small_config(false), training, small_tokenizer(), 7);
  task.set_data(source, drawn, held_out_of(source));
  train_small(*device, task, scratch / "run");
  Context context(*device);
  const std::vector<std::string> texts{"a red square", "a green square"};
  const auto text = task.clip().encode_texts(
      context, clip::tokenize(*device, task.clip().config(), *small_tokenizer(), texts, false));
  for (const uint64_t i : {0, 1}) {
    // The drawn pictures are read in the order of their lines; the right ones are pairs 1 and 7, uncropped.
    const std::vector<Image> pictures = {decode_image(source->read(1 + 6 * i).encoded, "right"),
                                         decode_image(drawn->read(1 + i).encoded, "drawn")};
    const auto image =
        task.clip().encode_images(context, clip::normalise(*device, task.clip().config(), pictures));
    const auto cosines =
        ops::linear(context, ops::l2_normalise(context, image), ops::l2_normalise(context, text)).to_floats();
    CHECK(cosines[i] > cosines[2 + i] + 0.1f);
  }
}

TEST_CASE("texts cut where they end have the features of padded ones, to the bit") {
  const auto device = make_cpu_device(1);
  clip::Clip model(small_config(false), *device);
  model.initialise(1);
  const std::vector<std::string> texts{"a red square", "a blue bar"};
  const Tensor ids = clip::tokenize(*device, model.config(), *small_tokenizer(), texts, false);
  const Tensor cut = clip::without_padding(ids);
  REQUIRE(cut.dim(1) < ids.dim(1));
  Context context(*device);
  CHECK(model.encode_texts(context, cut).to_floats() == model.encode_texts(context, ids).to_floats());
}

TEST_CASE("a text that is too long is an error that says by how much") {
  const auto device = make_cpu_device(1);
  const std::vector<std::string> texts{"red red red red red red red red red red red red red red red red"};
  const auto config = small_config(false);
  CHECK_THROWS_AS(clip::tokenize(*device, config, *small_tokenizer(), texts, false), Error);
  const auto ids = clip::tokenize(*device, config, *small_tokenizer(), texts, true).to_ints();
  CHECK(ids.back() == 3);
}

TEST_CASE("both image encoders learn to tell pictures apart") {
  const ScratchDir scratch;
  std::filesystem::create_directories(scratch / "data");
  const std::shared_ptr<const PairSource> source = small_data(scratch / "data");
  const auto device = make_cpu_device(1);
  for (const bool resnet : {false, true}) {
    CAPTURE(resnet);
    const auto config = small_config(resnet);
    clip::ClipTask task(*device, config, small_training(), small_tokenizer(), 7);
    task.set_data(source, nullptr, held_out_of(source));
    const auto before = task.evaluate(0);
    const auto last = train_small(*device, task, scratch / (resnet ? "resnet" : "vit"));
    CHECK(before["recall_1"].get<double>() < 0.5);
    CHECK(last["recall_1"].get<double>() > 0.8);          // chance: 1/8
    CHECK(last["near_miss"].get<double>() > 0.9);         // chance: 1/2
    CHECK(last["zero_shot_colour"].get<double>() > 0.8);  // chance: 1/4
    CHECK(task.clip().scale() <= 100.0f);
  }
}

TEST_CASE("the learned scale stops at 100") {
  const auto device = make_cpu_device(1);
  clip::ClipTask task(*device, small_config(false), small_training(), small_tokenizer(), 7);
  const float large = 6.0f;
  device->copy_from_host(task.clip().logit_scale().raw(), &large, sizeof large);
  Context context(*device);
  task.after_step(context, 0);
  CHECK(task.clip().scale() == doctest::Approx(100.0));
}

TEST_CASE("a training of version 0.1 knows its model again: what other fields imply is left out") {
  const nlohmann::json old = {
      {"vision_width", 128}, {"vision_layers", 2}, {"transformer_width", 64}, {"transformer_heads", 1}};
  const auto identity = clip::clip_config_from_json(old).identity();
  for (const char* name : {"vision_heads", "vision_mlp_width", "transformer_mlp_width", "activation"})
    CHECK_FALSE(identity.contains(name));
  auto other = old;
  other.update({{"vision_heads", 4},
                {"vision_mlp_width", 100},
                {"transformer_mlp_width", 100},
                {"activation", "gelu"}});
  const auto stated = clip::clip_config_from_json(other).identity();
  for (const char* name : {"vision_heads", "vision_mlp_width", "transformer_mlp_width", "activation"})
    CHECK(stated[name] == other[name]);
}

TEST_CASE("a CLIP's configuration is written as checkpoints have it") {
  auto json = clip::ClipConfig().to_json();
  CHECK(json["mean"].dump() == "[0.48145467042922974,0.45782750844955444,0.40821072459220886]");
  json.erase("mean");
  json.erase("std");
  CHECK(json.dump() ==
        R"({"activation":"quick_gelu","context_length":77,"embed_dim":512,"end_token":-1,)"
        R"("image_resolution":224,"kind":"openai","transformer_heads":8,"transformer_layers":12,)"
        R"("transformer_mlp_width":2048,"transformer_width":512,"vision_heads":12,"vision_layers":12,)"
        R"("vision_mlp_width":3072,"vision_patch_size":32,"vision_width":768,"vocab_size":49408})");
  const auto resnet = clip::clip_config_from_json(
      {{"vision_layers", {3, 4, 6, 3}}, {"vision_width", 64}, {"vision_patch_size", nullptr}});
  CHECK(resnet.to_json()["vision_patch_size"].is_null());
  CHECK(resnet.to_json()["vision_mlp_width"].is_null());
  CHECK(resnet.to_json()["vision_layers"] == nlohmann::json{3, 4, 6, 3});
  CHECK(clip::clip_config_from_json(resnet.to_json()).to_json() == resnet.to_json());
}

TEST_CASE("a training file with a wrong field is refused by its name") {
  CHECK_THROWS_WITH_AS(
      clip::ClipTraining::from_json({{"batch", "many"}}, 0),
      "'train.batch' must be a whole number from -9223372036854775808 to 9223372036854775807, not \"many\"",
      Error);
  CHECK_THROWS_WITH_AS(clip::clip_config_from_json({{"embed_dim", 16}, {"depth", 3}}),
                       "CLIP configuration: unknown field 'depth'", Error);
}

}  // namespace dalle1::test
