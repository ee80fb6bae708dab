// `dalle1 train` started by mpirun: each model's files are those of one process.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/image/png.h"
#include "tests/mpi/ranks.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

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

// Pictures with captions, and their tokens.
struct Data {
  ScratchDir scratch;

  Data() {
    for (int i = 0; i < 24; ++i) {
      write_png(at(fmt::format("pairs/{:02}.png", i)), disc(i));
      write_text(at(fmt::format("pairs/{:02}.txt", i)), i % 2 ? "a red cat" : "a blue star");
    }
    const auto made = run_program({"shard", "--data", at("pairs"), "--out", at("shards"), "--model",
                                   shallow_model().string(), "--grid", "4", "--threads", "1"});
    REQUIRE_MESSAGE(made.exit_code == 0, made.err);
  }
  std::string at(const std::string& name) const {
    fs::create_directories((scratch / name).parent_path());
    return (scratch / name).string();
  }
};

const Data& data() {
  static const Data made;
  return made;
}

struct Model {
  std::string name;
  json architecture, train;
};

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

const Model& transformer() { return models()[0]; }

// A training of `steps` updates of four micro-batches each into the folder `out`; `train` on top.
std::vector<std::string> training(const Model& model, const std::string& out,
                                  const json& train = json::object(), int64_t steps = 6) {
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

// Rows of the log but for what depends on the clock and on the number of ranks.
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

void says(const ProgramResult& result, int exit_code, const std::string& text) {
  CHECK(result.exit_code == exit_code);
  CHECK_MESSAGE(result.error_line().find(text) != std::string::npos, result.err);
}

}  // namespace

TEST_CASE("every model: the checkpoint, the model and the figures of ranks are those of one process") {
  for (const Model& model : models()) {
    CAPTURE(model.name);
    const auto one = data().at(model.name + "-one");
    succeeds(run_program(training(model, model.name + "-one")));
    for (const int ranks : {2, 4}) {
      const auto out = fmt::format("{}-{}", model.name, ranks);
      const auto result = run_program(training(model, out), on_ranks(ranks));
      succeeds(result);
      CHECK(result.out == data().at(out + "/model") + "\n");  // said once
      same_run(data().at(out), one, "checkpoint-00000006.safetensors");
    }
  }
}

TEST_CASE("a run goes on with fewer ranks, and with one") {
  succeeds(run_program(training(transformer(), "whole")));
  const auto words = training(transformer(), "parts");
  const auto a_step = with(words, {"--max-minutes", "0.000001"});
  succeeds(run_program(a_step, on_ranks(4)));
  CHECK(figures(data().at("parts")).size() == 1);
  succeeds(run_program(with(a_step, {"--resume"}), on_ranks(2)));
  CHECK(figures(data().at("parts")).size() == 2);
  succeeds(run_program(with(a_step, {"--resume"})));
  succeeds(run_program(with(words, {"--resume"}), on_ranks(3)));
  same_run(data().at("parts"), data().at("whole"), "checkpoint-00000006.safetensors");
}

TEST_CASE("a rank that is killed ends all within ten seconds and is named; the run goes on") {
  constexpr int64_t steps = 400;
  succeeds(run_program(training(transformer(), "unhurt", json::object(), steps)));
  const auto words = training(transformer(), "killed", json::object(), steps);
  const fs::path checkpoints = fs::path(data().at("killed")) / "checkpoints";
  double killed_at = -1, ended_at = 0;
  auto options = on_ranks(2);
  options.watch = [&](int launcher, double seconds) {
    ended_at = seconds;
    if (killed_at >= 0 || !fs::exists(checkpoints / "checkpoint-00000010.safetensors")) return;
    kill(process_of_rank(launcher, 1), SIGKILL);
    killed_at = seconds;
  };
  const auto result = run_program(words, options);
  REQUIRE(killed_at >= 0);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK(ended_at - killed_at < 10);
  CHECK_MESSAGE(result.err.find("process rank 1 ") != std::string::npos, result.err);
  CHECK_FALSE(fs::exists(checkpoints / "checkpoint-00000400.safetensors"));
  succeeds(run_program(with(words, {"--resume"}), on_ranks(4)));
  same_run(data().at("killed"), data().at("unhurt"), "checkpoint-00000400.safetensors");
}

TEST_CASE("SIGUSR1 to the launcher ends a training with a checkpoint") {
  auto options = on_ranks(2);
  bool sent = false;
  options.watch = [&](int launcher, double) {
    if (sent || !fs::exists(data().at("asked") + "/checkpoints/checkpoint-00000010.safetensors")) return;
    kill(launcher, SIGUSR1);
    sent = true;
  };
  says(run_program(training(transformer(), "asked", json::object(), 100000), options), 128 + SIGUSR1,
       "of 100000 steps; --resume goes on");
}

TEST_CASE("a rank with another configuration, model or file is refused by name before any work") {
  const auto words = training(transformer(), "refused");
  const auto refused = [&](const std::vector<std::string>& other, int exit_code, const std::string& why) {
    CAPTURE(why);
    says(run_program(other, beside_rank_0(words)), exit_code, why);
    CHECK_FALSE(fs::exists(data().at("refused") + "/checkpoints"));
    fs::remove_all(data().at("refused"));
  };
  refused(training(transformer(), "other", {{"learning_rate", 0.5}}), 2, "error: rank 1 on ");
  refused(training(transformer(), "other", {{"learning_rate", 0.5}}), 2,
          "'/settings/train/learning_rate' is 0.5, on rank 0 it is 0.001");
  refused(with(words, {"--resume"}), 2, "'/resume' is true, on rank 0 it is false");
  auto missing = words;
  missing[3] = "missing.json";
  refused(missing, 3, "error: rank 1 of 2 on ");

  // The same words, and a model that is another there.
  succeeds(run_program(training(transformer(), "trained")));
  succeeds(run_program(training(transformer(), "trained-on", json::object(), 7)));
  const auto here = data().at("here"), there = data().at("there");
  for (const auto& folder : {here, there}) fs::create_directories(folder);
  fs::copy(data().at("trained/model"), here + "/start");
  fs::copy(data().at("trained-on/model"), there + "/start");
  const auto from = with(words, {"--init-from", "start"});
  says(run_program(from, beside_rank_0(from, here, there)), 2, "checksum of the first parameters");
  CHECK_FALSE(fs::exists(data().at("refused") + "/checkpoints"));
}

TEST_CASE("what fails on all ranks is said once") {
  says(run_program(training(transformer(), "few", {{"accumulate", 1}}), on_ranks(2)), 2,
       "2 ranks share the micro-batches of a step, and 'train.accumulate' is 1");
  says(run_program({"info"}, on_ranks(2)), 2, "'info' runs in one process, and 2 were started");
  says(run_program({"train", "dvae", "--bathc", "4"}, on_ranks(4)), 2, "--bathc");
}

}  // namespace dalle1::test
