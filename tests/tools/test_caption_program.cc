// A captioner through the program alone: shard, train captioner, caption, sample and rank by it; bad input.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/image/png.h"
#include "core/random/philox.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

constexpr int kPictures = 8, kPictureSide = 64;

const char* const kCaptions[kPictures] = {
    "a red circle above a blue square",  "a blue cat above a red square",
    "a green star above a red square",   "a yellow house above a red square",
    "a red cat above a green square",    "a blue star above a yellow square",
    "a green house above a blue square", "a yellow circle above a green square"};

// Shards of eight pictures and a captioner that was trained on them, made once.
struct Trained {
  ScratchDir scratch;
  std::vector<std::string> pictures;

  Trained() {
    fs::create_directories(scratch / "pictures");
    std::ofstream captions(scratch / "pictures/captions.jsonl");
    for (int i = 0; i < kPictures; ++i) {
      const std::string name = fmt::format("{}.png", i);
      Image picture(kPictureSide, kPictureSide, 3);
      for (size_t p = 0; p < picture.pixels.size(); ++p)
        picture.pixels[p] = static_cast<uint8_t>(
            random_block(static_cast<uint64_t>(i), Stream::test, static_cast<uint32_t>(p / 48), 0, 0)[0]);
      write_png(scratch / ("pictures/" + name), picture);
      captions << json{{"image", name}, {"caption", kCaptions[i]}}.dump() << "\n";
      pictures.push_back(at("pictures/" + name));
    }
    captions.close();
    succeeds(shard("shards", "8"));
    write_config({{"grid", 8}});
    succeeds(train("run"));
  }

  std::string at(const std::string& name) const { return (scratch / name).string(); }
  std::string captioner() const { return at("run/model"); }

  void write_config(const json& more) const {
    json file = {{"layers", 1},
                 {"width", 32},
                 {"heads", 2},
                 {"text_slots", 24},
                 {"text_vocab", 60},
                 {"grid", 8},
                 {"image_vocab", 32},
                 {"code_width", 16},
                 {"train",
                  {{"steps", 80},
                   {"batch", 8},
                   {"optimizer", "muon"},
                   {"learning_rate", 5e-3},
                   {"ema_decay", 0},
                   {"validation", 0}}}};
    file.update(more);
    std::ofstream(at("captioner.json")) << file.dump();
  }

  std::vector<std::string> shard(const std::string& out, const std::string& grid) const {
    return {"shard", "--quiet", "--model", test::shallow_model().string(), "--data", at("pictures"), "--grid",
            grid,    "--out",   at(out)};
  }

  std::vector<std::string> train(const std::string& out, const std::string& shards = "shards",
                                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"train",
                                          "captioner",
                                          "--quiet",
                                          "--threads",
                                          "1",
                                          "--config",
                                          at("captioner.json"),
                                          "--shards",
                                          at(shards),
                                          "--tokenizer",
                                          (test::shallow_model() / "text.model").string(),
                                          "--out",
                                          at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static void succeeds(const std::vector<std::string>& arguments) {
    const auto result = test::run_program(arguments);
    CAPTURE(arguments[0]);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
  }
};

const Trained& trained() {
  static const Trained once;
  return once;
}

test::ProgramResult run(std::vector<std::string> arguments, const fs::path& model = test::shallow_model()) {
  arguments.insert(arguments.begin() + 1, {"--model", model.string(), "--quiet"});
  return test::run_program(arguments);
}

std::vector<std::string> caption(std::vector<std::string> more) {
  std::vector<std::string> arguments{"caption", "--captioner", trained().captioner()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void refused(const test::ProgramResult& result, int exit_code, const std::string& what) {
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.error_line().find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("caption writes what a captioner has learned, as lines and as JSON, in any company") {
  auto arguments = caption({"--json"});
  arguments.insert(arguments.end(), trained().pictures.begin(), trained().pictures.end());
  const auto result = run(arguments);
  REQUIRE(result.exit_code == 0);
  const auto rows = json::parse(result.out);
  REQUIRE(rows.size() == kPictures);
  for (int i = 0; i < kPictures; ++i) {
    const auto at = static_cast<size_t>(i);
    CHECK(rows[at] == json{{"file", trained().pictures[at]}, {"caption", kCaptions[i]}});
    const auto alone = run(caption({trained().pictures[at]}));
    CHECK(alone.out == fmt::format("{}: {}\n", trained().pictures[at], kCaptions[i]));
  }
  const auto drawn =
      run(caption({"--json", "--count", "3", "--temperature", "5", "--seed", "4", trained().pictures[0]}));
  REQUIRE(drawn.exit_code == 0);
  CHECK(json::parse(drawn.out).size() == 3);
  CHECK(json::parse(drawn.out)[0] != json::parse(drawn.out)[1]);
}

TEST_CASE("sample and rank score by a captioner alike, and a run by it resumes") {
  ScratchDir scratch;
  const std::string out = (scratch / "run").string();
  const std::vector<std::string> sample{"sample",
                                        "--prompt",
                                        "a red circle above a blue square",
                                        "--candidates",
                                        "4",
                                        "--keep",
                                        "2",
                                        "--scorer",
                                        "clip=1,caption-ratio=0.5",
                                        "--captioner",
                                        trained().captioner(),
                                        "--out",
                                        out};
  REQUIRE(run(sample).exit_code == 0);
  auto resumed = sample;
  resumed.push_back("--resume");
  CHECK(run(resumed).exit_code == 0);
  std::map<uint32_t, double> scores;
  for (const auto& row : rerank::read_results(scratch / "run/results.jsonl"))
    for (const auto& [name, value] : row.scores)
      if (name == "caption") scores[row.candidate] = value;
  REQUIRE(scores.size() == 4);
  const auto ranked = run({"rank", "--json", "--scorer", "caption", "--captioner", trained().captioner(),
                           (scratch / "run/results.jsonl").string()});
  REQUIRE(ranked.exit_code == 0);
  double before = 0;
  for (const auto& row : json::parse(ranked.out)["results"]) {
    const double score = row["scores"]["caption"];
    CHECK(score == doctest::Approx(scores.at(row["candidate"])));
    CHECK(score < 0);
    CHECK((before == 0 || score <= before));
    before = score;
  }
}

TEST_CASE("what does not fit a captioner is refused in one line") {
  const auto& data = trained();
  const std::string picture = data.pictures[0];
  refused(run({"caption", picture}), 4, "it has no captioner");
  refused(run({"sample", "--prompt", "a cat", "--scorer", "caption", "--dry-run"}), 4,
          "the model has no captioner to rank with");
  refused(run(caption({"--style", "descriptive", picture})), 2, "this captioner writes plain captions");
  refused(run(caption({"--count", "2", picture})), 2, "give a --temperature above 0");
  refused(run(caption({data.at("absent.png")})), 3, "absent.png");
  refused(run(caption({picture, data.at("absent.png")})), 7, "1 of 2 pictures could not be read");

  ScratchDir scratch;
  test::TinyModel other;
  other.layers = 4;
  other.blank = true;
  test::write_tiny_model(scratch / "other", other);
  refused(run(caption({picture}), scratch / "other"), 4, "codes of another dVAE");
  other.blank = false;
  other.grid = 4;
  test::write_tiny_model(scratch / "small", other);
  refused(run({"sample", "--prompt", "a cat", "--scorer", "caption-ratio", "--captioner", data.captioner(),
               "--dry-run"},
              scratch / "small"),
          4, "this captioner reads grids of 8");

  data.write_config({{"grid", 8}, {"text_vocab", 96}});
  refused(test::run_program(data.train("none")), 4, "set text_vocab to 60");
  data.write_config({{"grid", 8}});
  fs::create_directories(data.scratch / "empty");
  refused(test::run_program(data.train("none", "empty")), 3, "empty");
  Trained::succeeds(data.shard("coarse", "4"));
  refused(test::run_program(data.train("none", "coarse")), 4, "grids of 4 with 32 codes");
  refused(test::run_program(data.train("none", "shards", {"--dvae", (scratch / "other").string()})), 4,
          "codes of another dVAE than");
}
