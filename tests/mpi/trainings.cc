#include "tests/mpi/trainings.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <sstream>

#include "core/image/png.h"
#include "tests/support/data_files.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

Image disc(int number) {
  Image image(40, 40, 3);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 40; ++x) {
      const int dx = x - 20 - number % 5, dy = y - 20 + number % 3;
      for (int c = 0; c < 3; ++c)
        image.at(x, y)[c] =
            static_cast<uint8_t>((number * (dx * dx + dy * dy < 80 ? 37 : 91) + c * 80) % 256);
    }
  return image;
}

}  // namespace

Data::Data() {
  for (int i = 0; i < 24; ++i) {
    write_png(at(fmt::format("pairs/{:02}.png", i)), disc(i));
    write_text(at(fmt::format("pairs/{:02}.txt", i)), i % 2 ? "a red cat" : "a blue star");
  }
  const auto made = run_program({"shard", "--data", at("pairs"), "--out", at("shards"), "--model",
                                 shallow_model().string(), "--grid", "4", "--threads", "1"});
  REQUIRE_MESSAGE(made.exit_code == 0, made.err);
}

std::string Data::at(const std::string& name) const {
  fs::create_directories((scratch / name).parent_path());
  return (scratch / name).string();
}

const Data& data() {
  static const Data made;
  return made;
}

const std::vector<Model>& models() {
  static const std::vector<Model> all{{"transformer",
                                       {{"layers", 2},
                                        {"width", 32},
                                        {"heads", 1},
                                        {"text_length", 16},
                                        {"text_vocab", 60},
                                        {"grid", 4},
                                        {"image_vocab", 32},
                                        {"schedule", {{"kind", "paper"}, {"kernel", 3}}}},
                                       {{"batch", 3}, {"validation", 4}, {"optimizer", "muon"}}},
                                      {"captioner",
                                       {{"layers", 1},
                                        {"width", 32},
                                        {"heads", 2},
                                        {"text_slots", 24},
                                        {"text_vocab", 60},
                                        {"grid", 4},
                                        {"image_vocab", 32},
                                        {"code_width", 16}},
                                       {{"batch", 3}, {"validation", 4}}},
                                      {"clip",
                                       {{"embed_dim", 16},
                                        {"image_resolution", 32},
                                        {"vision_layers", 1},
                                        {"vision_width", 64},
                                        {"vision_patch_size", 16},
                                        {"context_length", 12},
                                        {"transformer_width", 32},
                                        {"transformer_heads", 1},
                                        {"transformer_layers", 1}},
                                       {{"batch", 4}, {"evaluate_pairs", 4}, {"evaluate_group", 4}}},
                                      {"dvae",
                                       {{"hidden", 8},
                                        {"decoder_init", 8},
                                        {"groups", 2},
                                        {"blocks_per_group", 1},
                                        {"codes", 16},
                                        {"post_gain", 0.25},
                                        {"quantiser", "vq"}},
                                       {{"batch", 4},
                                        {"crop", 16},
                                        {"resolution", 32},
                                        {"evaluate_pictures", 4},
                                        {"vq", {{"continuous_steps", 2}, {"dimensions", 4}}}}}};
  return all;
}

std::vector<std::string> training(const Model& model, const std::string& out, const json& train,
                                  int64_t steps) {
  json file = model.architecture;
  file["train"] = {{"steps", steps}, {"accumulate", 4},     {"learning_rate", 1e-3}, {"log_every", 1},
                   {"seed", 3},      {"evaluate_every", 3}, {"checkpoint_every", 5}};
  file["train"].update(model.train);
  file["train"].update(train);
  const auto config = data().at(fmt::format("{}-{}.json", model.name, out));
  write_text(config, file.dump());
  const bool on_tokens = model.name == "transformer" || model.name == "captioner";
  std::vector<std::string> words{"train",        model.name,  "--config", config,   "--out",
                                 data().at(out), "--threads", "1",        "--quiet"};
  words.push_back(model.name == "captioner" ? "--shards" : "--data");
  words.push_back(data().at(on_tokens ? "shards" : "pairs"));
  if (model.name != "dvae")
    words.insert(words.end(), {"--tokenizer", (shallow_model() / "text.model").string()});
  return words;
}

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void succeeds(const ProgramResult& result) { REQUIRE_MESSAGE(result.exit_code == 0, result.err); }

std::vector<json> figures(const std::string& run) {
  std::vector<json> rows;
  std::istringstream lines(content_of(fs::path(run) / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(json::parse(line));
    rows.back().erase("seconds_per_step");
    rows.back().erase("sent_megabytes_per_step");
  }
  return rows;
}

void same_run(const std::string& one, const std::string& other, const std::string& checkpoint) {
  CHECK(content_of(fs::path(one) / "checkpoints" / checkpoint) ==
        content_of(fs::path(other) / "checkpoints" / checkpoint));
  CHECK(products_of(fs::path(one) / "model") == products_of(fs::path(other) / "model"));
  CHECK(figures(one) == figures(other));
}

}  // namespace dalle1::test
