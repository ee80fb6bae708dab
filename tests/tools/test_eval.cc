#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/eval/eval_memory.h"
#include "tools/eval/eval_prompts.h"
#include "tools/eval/eval_report.h"
#include "tools/program/options.h"

using namespace dalle1;
using namespace dalle1::tools;
namespace fs = std::filesystem;

TEST_CASE("Wilson intervals: values computed by hand") {
  const auto half = wilson(50, 100);
  CHECK(half.low == doctest::Approx(0.40383).epsilon(1e-4));
  CHECK(half.high == doctest::Approx(0.59617).epsilon(1e-4));
  CHECK(wilson(0, 10).low == 0.0);
  CHECK(wilson(0, 10).high == doctest::Approx(0.27753).epsilon(1e-4));
  CHECK(wilson(10, 10).high == doctest::Approx(1.0));
  CHECK(wilson(0, 0).count == 0);
}

TEST_CASE("the reranking curve equals the mean over all draws of n from N") {
  RandomStream random(5, Stream::test);
  for (int round = 0; round < 20; ++round) {
    std::vector<bool> right(8);
    for (size_t i = 0; i < right.size(); ++i) right[i] = random.below(3) == 0;
    for (int n = 1; n <= 8; ++n) {
      int draws = 0, best = 0, any = 0;
      for (unsigned set = 0; set < 256; ++set) {
        if (__builtin_popcount(set) != n) continue;
        ++draws;
        best += right[static_cast<size_t>(__builtin_ctz(set))];
        for (size_t i = 0; i < 8; ++i)
          if ((set >> i & 1) && right[i]) {
            ++any;
            break;
          }
      }
      CHECK(best_of(right, n) == doctest::Approx(static_cast<double>(best) / draws));
      CHECK(any_of(right, n) == doctest::Approx(static_cast<double>(any) / draws));
    }
  }
}

TEST_CASE("the summary counts first, best, any and controls by kind") {
  const std::vector<PromptVerdict> verdicts = {
      {"a", "shape", false, {3, 0, 5, 1}, {true, false, false, false}, {false, false, false, true}, {}},
      {"b", "shape", false, {0, 3, 5, 1}, {false, false, true, false}, {false, false, false, false}, {}},
      {"c", "clock", true, {1, 0}, {false, true}, {}, {}}};
  const auto report = summarise(verdicts);
  REQUIRE(report.kinds.size() == 3);
  const auto& shape = report.kinds[1];
  CHECK(shape.kind == "shape");
  CHECK(shape.first.right == 0);
  CHECK(shape.best.right == 1);
  CHECK(shape.oracle.right == 2);
  CHECK(shape.control_oracle.right == 1);
  CHECK(report.kinds[0].first.right == 1);
  CHECK(report.kinds[0].control_best.count == 0);
  CHECK(report.kinds[2].kind == "all");
  CHECK(report.kinds[2].oracle.right == 3);
  CHECK(report.curve.back().n == 4);
  CHECK(report.curve.back().best == 0.5);
  CHECK(report.curve.front().oracle == doctest::Approx((0.25 + 0.25 + 0.5) / 3));
  CHECK(to_svg(report).find("<svg") != std::string::npos);
}

TEST_CASE("prompts take turns among the kinds, and a limit counts each kind") {
  test::ScratchDir scratch;
  const auto path = (scratch / "prompts.jsonl").string();
  write_file_atomically(path,
                        "{\"prompt\": \"a\", \"kind\": \"shape\"}\n{\"prompt\": \"b\", \"kind\": \"shape\"}\n"
                        "{\"prompt\": \"c\", \"kind\": \"shape\"}\n{\"prompt\": \"d\", \"kind\": \"clock\"}\n"
                        "{\"prompt\": \"e\", \"kind\": \"shape\", \"held_out\": true}\n");
  const auto names = [&](const std::vector<std::string>& kinds, int limit) {
    std::string text;
    for (const auto& prompt : read_eval_prompts(path, kinds, limit)) text += prompt.prompt;
    return text;
  };
  CHECK(names({}, 0) == "daebc");
  CHECK(names({}, 2) == "daeb");
  CHECK(names({"shape"}, 1) == "ae");
  CHECK_THROWS_WITH_AS(names({"house"}, 0), doctest::Contains("no prompts of the kind 'house'"), Error);
  write_file_atomically(path, "{\"prompt\": 7}\n");
  CHECK_THROWS_WITH_AS(names({}, 0), doctest::Contains("line 1"), Error);
}

TEST_CASE("the nearest training picture, and who is nearer to it than real pictures are") {
  test::ScratchDir scratch;
  TokenShardWriter writer(scratch / "a.tokens", {2, 16, "", ""});
  const std::vector<std::vector<int32_t>> training = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  for (const auto& tokens : training) writer.add(tokens, "picture " + std::to_string(tokens[0]));
  writer.finish();
  const TokenShards shards(scratch / "a.tokens");
  const std::vector<MemoryQuery> drawn = {{"shape", {5, 6, 7, 8}}, {"shape", {1, 2, 0, 0}}};
  const std::vector<MemoryQuery> held_out = {{"shape", {1, 2, 3, 0}}, {"clock", {1, 2, 3, 4}}};
  const auto nearest = nearest_by_tokens(shards, drawn);
  CHECK(nearest[0].index == 1);
  CHECK(nearest[0].distance == 0.0);
  CHECK(nearest[1].index == 0);
  CHECK(nearest[1].distance == 0.5);
  const auto kinds = measure_memory(drawn, nearest, held_out, nearest_by_tokens(shards, held_out))["kinds"];
  REQUIRE(kinds.size() == 1);
  CHECK(kinds[0]["held_out"] == 1);
  CHECK(kinds[0]["held_out_median"] == 0.25);
  CHECK(kinds[0]["drawn_least"] == 0.0);
  CHECK(kinds[0]["nearer"] == 0.5);
  CHECK_THROWS_WITH_AS(nearest_by_tokens(shards, {{"shape", {1}}}), doctest::Contains("4 tokens"), Error);
}

namespace {

// Cells of 4 x 4 pixels in the colour of their code; codes 0 and 1 look alike.
struct PaintedCells : rerank::PictureDecoder {
  static constexpr int kGrid = 4, kCell = 4, kCodes = 5;
  int picture_size() const override { return kGrid * kCell; }
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override {
    constexpr uint8_t colours[kCodes][3] = {{0, 0, 0}, {0, 0, 0}, {255, 255, 255}, {200, 0, 0}, {0, 10, 0}};
    std::vector<Image> pictures;
    for (int i = 0; i < count; ++i) {
      Image picture(picture_size(), picture_size(), 3);
      for (int y = 0; y < picture.height; ++y)
        for (int x = 0; x < picture.width; ++x)
          std::copy_n(colours[tokens[static_cast<size_t>((i * kGrid + y / kCell) * kGrid + x / kCell)]], 3,
                      picture.at(x, y));
      pictures.push_back(std::move(picture));
    }
    return pictures;
  }
};

}  // namespace

TEST_CASE("the nearest training picture by colours, whatever its codes") {
  test::ScratchDir scratch;
  TokenShardWriter writer(scratch / "a.tokens", {4, PaintedCells::kCodes, "", ""});
  for (const int32_t code : {3, 0, 2}) writer.add(std::vector<int32_t>(16, code), "plain");
  writer.finish();
  const TokenShards shards(scratch / "a.tokens");
  PaintedCells decoder;
  const CodeColours colours(decoder, PaintedCells::kGrid, PaintedCells::kCodes);
  const auto device = make_cpu_device(1);
  std::vector<int32_t> nearly_white(16, 2);
  nearly_white[5] = 3;
  const auto nearest = nearest_by_colours(shards, colours, *device,
                                          {{"shape", std::vector<int32_t>(16, 1)},
                                           {"shape", nearly_white},
                                           {"shape", std::vector<int32_t>(16, 4)}});
  CHECK(nearest[0].index == 1);
  CHECK(nearest[0].distance == doctest::Approx(0).scale(1).epsilon(0.01));
  CHECK(nearest_by_tokens(shards, {{"shape", std::vector<int32_t>(16, 1)}})[0].distance == 1.0);
  CHECK(nearest[1].index == 2);
  CHECK(nearest[1].distance == doctest::Approx(std::sqrt((55.0 * 55 + 2 * 255.0 * 255) / 48)).epsilon(1e-3));
  CHECK(nearest[2].index == 1);
  CHECK(nearest[2].distance == doctest::Approx(std::sqrt(100.0 / 3)).epsilon(1e-3));
}

namespace {

// Says "right" when the candidate's number in the file name is even and the caption is not the control's;
// knows nothing of poems.
const char* const kChecker =
    "#!/bin/bash\n"
    "while read -r line; do\n"
    "  case \"$line\" in *poem*) echo '{\"right\": null}';;\n"
    "    *'\"control\"'*) echo '{\"right\": false}';;\n"
    "    *[02468].png*) echo '{\"right\": true}';;\n"
    "    *) echo '{\"right\": false}';; esac\n"
    "done\n";

// A checker, prompts of two kinds, six held-out pictures, and training tokens that fit the tiny model.
void write_inputs(const fs::path& folder) {
  write_file_atomically(folder / "check", kChecker);
  chmod((folder / "check").c_str(), 0755);
  write_file_atomically(
      folder / "prompts.jsonl",
      "{\"prompt\": \"a red cat\", \"kind\": \"animal\", \"control\": \"control\"}\n"
      "{\"prompt\": \"a blue house\", \"kind\": \"house\", \"held_out\": true, \"control\": \"control\"}\n");
  std::string captions;
  RandomStream random(7, Stream::test);
  for (int i = 0; i < 6; ++i) {
    Image picture(64, 64, 3);
    for (auto& value : picture.pixels) value = static_cast<uint8_t>(random.below(256));
    write_png(folder / fmt::format("{}.png", i), picture);
    captions += fmt::format("{{\"image\": \"{}.png\", \"caption\": \"a {} cat\", \"kind\": \"{}\"}}\n", i,
                            i % 2 ? "red" : "green", i < 4 ? "animal" : "house");
  }
  write_file_atomically(folder / "captions.jsonl", captions);
  write_file_atomically(folder / "clip.json",
                        "{\"train\": {\"word_classes\": {\"colour\": [\"red\", \"green\", \"blue\"]}}}");
  TokenShardWriter writer(folder / "a.tokens", {8, 32, "", ""});
  for (int i = 0; i < 5; ++i) writer.add(std::vector<int32_t>(64, i), "one colour");
  writer.finish();
}

}  // namespace

TEST_CASE("eval draws, asks the checker, resumes, and reports") {
  test::ScratchDir scratch;
  write_inputs(scratch.path());
  const auto file = [&](const char* name) { return (scratch / name).string(); };
  std::vector<std::string> arguments = {"eval",
                                        "--model",
                                        test::tiny_model().string(),
                                        "--prompts",
                                        file("prompts.jsonl"),
                                        "--checker",
                                        file("check"),
                                        "--out",
                                        file("out"),
                                        "--candidates",
                                        "4"};
  const auto result = test::run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out.find("| house, held out | 1 |") != std::string::npos);
  const auto report = nlohmann::json::parse(test::content_of(scratch / "out" / "report.json"));
  CHECK(report["drawn"] == 2);
  CHECK(report["kinds"][2]["first"]["right"] == 2);
  CHECK(report["kinds"][2]["oracle"]["right"] == 2);
  CHECK(report["kinds"][2]["control_oracle"]["right"] == 0);
  CHECK(report["curve"][0]["best"] == 0.5);
  CHECK_FALSE(report.contains("dvae"));
  CHECK(test::content_of(scratch / "out" / "report.md") == result.out);
  CHECK(fs::exists(scratch / "out" / "best" / "0001.png"));
  CHECK(fs::exists(scratch / "out" / "reranking.svg"));

  // The same prompt with a seed is another draw: that of the evaluation with this seed.
  write_file_atomically(scratch / "again.jsonl", R"({"prompt": "a red cat", "kind": "animal", "seed": 5})");
  const auto best_tokens = [&](const char* prompts, const char* seed, const char* out) {
    const auto drawn =
        test::run_program({"eval", "--model", test::tiny_model().string(), "--prompts", file(prompts),
                           "--checker", file("check"), "--out", file(out), "--candidates", "1", "--limit",
                           "1", "--kinds", "animal", "--seed", seed});
    REQUIRE_MESSAGE(drawn.exit_code == 0, drawn.err);
    const auto lines = test::content_of(scratch / out / "verdicts.jsonl");
    return nlohmann::json::parse(lines.substr(lines.find('\n')))["best_tokens"];
  };
  const auto first = best_tokens("prompts.jsonl", "0", "seed0");
  CHECK(best_tokens("again.jsonl", "0", "seed5") != first);
  CHECK(best_tokens("again.jsonl", "0", "seed5b") == best_tokens("prompts.jsonl", "5", "seed5c"));

  // As after a kill in the middle of a line: the second prompt is judged again.
  const auto verdicts = test::content_of(scratch / "out" / "verdicts.jsonl");
  write_file_atomically(scratch / "out" / "verdicts.jsonl", verdicts.substr(0, verdicts.size() - 20));
  CHECK(test::run_program(arguments).exit_code == 2);
  arguments.push_back("--resume");
  CHECK(test::run_program(arguments).exit_code == 0);
  CHECK(test::content_of(scratch / "out" / "verdicts.jsonl") == verdicts);
  // Version 0.1 wrote the settings as on its command line.
  auto old = rerank::Json::object();
  const auto settings = rerank::Json::parse(verdicts.substr(0, verdicts.find('\n')));
  for (const auto& [name, value] : settings.items()) old[tools::flag_of(name)] = value;
  CHECK(old.contains("--top-k"));
  const auto rows = verdicts.substr(verdicts.find('\n'));
  write_file_atomically(scratch / "out" / "verdicts.jsonl", old.dump() + rows.substr(0, rows.size() - 20));
  CHECK(test::run_program(arguments).exit_code == 0);
  CHECK(test::content_of(scratch / "out" / "verdicts.jsonl") == verdicts);
  arguments.insert(arguments.end(), {"--seed", "1"});
  CHECK(test::run_program(arguments).exit_code == 2);

  arguments = {"eval",
               "--model",
               test::tiny_model().string(),
               "--prompts",
               file("prompts.jsonl"),
               "--checker",
               "/bin/false",
               "--out",
               file("out"),
               "--candidates",
               "4",
               "--overwrite"};
  const auto broken = test::run_program(arguments);
  CHECK(broken.exit_code == 3);
  CHECK_MESSAGE(broken.error_line().find("the checker /bin/false") != std::string::npos, broken.err);
}

TEST_CASE("eval measures the models on held-out pictures and looks for copies; its time can be limited") {
  test::ScratchDir scratch;
  write_inputs(scratch.path());
  const auto file = [&](const char* name) { return (scratch / name).string(); };
  // Unchecked prompts are drawn too: they count for the memory only.
  write_file_atomically(
      file("prompts.jsonl"),
      "{\"prompt\": \"a poem\", \"kind\": \"house\"}\n{\"prompt\": \"a cat\", \"kind\": \"animal\"}\n");
  std::vector<std::string> arguments = {"eval",
                                        "--model",
                                        test::tiny_model().string(),
                                        "--prompts",
                                        file("prompts.jsonl"),
                                        "--checker",
                                        file("check"),
                                        "--out",
                                        file("out"),
                                        "--pictures",
                                        file("captions.jsonl"),
                                        "--training",
                                        file("a.tokens"),
                                        "--near-misses",
                                        file("clip.json"),
                                        "--candidates",
                                        "1",
                                        "--max-minutes",
                                        "0.0001"};
  const auto limited = test::run_program(arguments);
  REQUIRE_MESSAGE(limited.exit_code == 0, limited.err);
  CHECK(limited.out.find("1 of 2 prompts") != std::string::npos);
  arguments.back() = "5";
  arguments.push_back("--resume");
  const auto result = test::run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const auto report = nlohmann::json::parse(test::content_of(scratch / "out" / "report.json"));
  CHECK(report["drawn"] == 2);
  CHECK(report["kinds"][1]["kind"] == "house");
  CHECK(report["kinds"][1]["first"]["count"] == 0);
  CHECK(report["dvae"]["kinds"][2]["pictures"] == 6);
  CHECK(report["dvae"]["kinds"][2]["psnr"] > 3.0);
  // A model of random weights knows nothing of 32 codes.
  CHECK(report["transformer"]["kinds"][2]["image_nats"].get<double>() ==
        doctest::Approx(std::log(32)).epsilon(0.1));
  const auto& shares = report["transformer"]["kinds"];
  CHECK(
      6 * shares[2]["image_nats"].get<double>() ==
      doctest::Approx(4 * shares[0]["image_nats"].get<double>() + 2 * shares[1]["image_nats"].get<double>()));
  CHECK(report["clip"]["group"] == 6);
  CHECK(report["clip"]["recall_1_hard"] <= report["clip"]["recall_1"]);
  CHECK(report["memory"]["training_pictures"] == 5);
  CHECK(report["memory"]["kinds"][2]["drawn"] == 2);
  CHECK(report["memory"]["colours"]["kinds"][2]["drawn"] == 2);
  CHECK(report["memory"]["colours"]["kinds"][2]["held_out"] == 6);
  CHECK(report["memory"]["colours"]["kinds"][2]["drawn_least"] > 0.0);
  CHECK(fs::exists(scratch / "out" / "memory.png"));
  CHECK(fs::exists(scratch / "out" / "memory_colours.png"));
  CHECK(result.out.find("in levels of 255") != std::string::npos);
  CHECK(result.out.find("not checked") != std::string::npos);

  arguments[arguments.size() - 4] = "2";
  CHECK(test::run_program(arguments).exit_code == 2);  // other candidates than those that are there
}
