// A captioner through the program alone: shard, train captioner, caption, sample and rank by it; bad input.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>

#include "rerank/results.h"
#include "tests/tools/run_files.h"
#include "tests/tools/trained_captioner.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

test::ProgramResult run(std::vector<std::string> arguments, const fs::path& model = test::shallow_model()) {
  arguments.insert(arguments.begin() + 1, {"--model", model.string(), "--quiet"});
  return test::run_program(arguments);
}

std::vector<std::string> caption(std::vector<std::string> more) {
  std::vector<std::string> arguments{"caption", "--captioner", test::trained_captioner().captioner()};
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
  arguments.insert(arguments.end(), test::trained_captioner().pictures.begin(),
                   test::trained_captioner().pictures.end());
  const auto result = run(arguments);
  REQUIRE(result.exit_code == 0);
  const auto rows = json::parse(result.out);
  REQUIRE(rows.size() == test::kPictures);
  for (int i = 0; i < test::kPictures; ++i) {
    const auto at = static_cast<size_t>(i);
    CHECK(rows[at] ==
          json{{"file", test::trained_captioner().pictures[at]}, {"caption", test::kCaptions[i]}});
    const auto alone = run(caption({test::trained_captioner().pictures[at]}));
    CHECK(alone.out == fmt::format("{}: {}\n", test::trained_captioner().pictures[at], test::kCaptions[i]));
  }
  const auto drawn = run(caption({"--json", "--count", "3", "--temperature", "5", "--seed", "4",
                                  test::trained_captioner().pictures[0]}));
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
                                        test::trained_captioner().captioner(),
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
  const auto ranked = run({"rank", "--json", "--scorer", "caption", "--captioner",
                           test::trained_captioner().captioner(), (scratch / "run/results.jsonl").string()});
  REQUIRE(ranked.exit_code == 0);
  double before = 0;
  const auto document = json::parse(ranked.out);
  for (const auto& row : document["results"]) {
    const double score = row["scores"]["caption"];
    CHECK(score == doctest::Approx(scores.at(row["candidate"])));
    CHECK(score < 0);
    CHECK((before == 0 || score <= before));
    before = score;
  }
}

TEST_CASE(
    "candidates are pruned by a captioner: to all of them nothing changes, to fewer a run resumes alike") {
  ScratchDir scratch;
  const auto sample = [&](const std::string& name, const std::string& prune,
                          const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"sample",
                                       "--prompt",
                                       "a red circle above a blue square",
                                       "--candidates",
                                       "12",
                                       "--keep",
                                       "2",
                                       "--batch",
                                       "4",
                                       "--scorer",
                                       "clip=1,caption-ratio=0.5",
                                       "--captioner",
                                       test::trained_captioner().captioner(),
                                       "--out",
                                       (scratch / name).string()};
    if (!prune.empty()) arguments.insert(arguments.end(), {"--prune", prune});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  REQUIRE(sample("whole", "").exit_code == 0);
  REQUIRE(sample("all", "12").exit_code == 0);
  CHECK(test::products_of(scratch / "all") == test::products_of(scratch / "whole"));

  REQUIRE(sample("five", "5").exit_code == 0);
  const auto record = json::parse(test::content_of(scratch / "five/run.json"));
  CHECK(record["options"]["prune"] == 5);
  CHECK(record["estimate"]["decoded"] == 5);
  const auto rows = rerank::read_results(scratch / "five/results.jsonl");
  REQUIRE(rows.size() == 12);
  double least = 0;  // of those that were decoded, by what read their tokens
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i].pruned == (i >= 5));
    std::map<std::string, double> scores(rows[i].scores.begin(), rows[i].scores.end());
    CHECK(scores.count("clip") == (i < 5));
    if (i < 5) least = i == 0 ? scores.at("caption-ratio") : std::min(least, scores.at("caption-ratio"));
    if (i >= 5) CHECK(scores.at("caption-ratio") <= least);
  }

  // Cut after its second wave, and once more before its ranking.
  fs::create_directories(scratch / "cut/tokens");
  auto begun = record;
  begun["status"] = "running";
  std::ofstream(scratch / "cut/run.json") << begun.dump();
  for (const char* wave : {"tokens/wave-000000.jsonl", "tokens/wave-000004.jsonl"})
    fs::copy_file(scratch / "five" / wave, scratch / "cut" / wave);
  REQUIRE(sample("cut", "5", {"--resume"}).exit_code == 0);
  CHECK(test::products_of(scratch / "cut") == test::products_of(scratch / "five"));
  refused(sample("cut", "6", {"--resume"}), 2, "--prune was 5 and is 6 now");

  const auto ranked = run({"rank", "--json", "--scorer", "clip=1,caption-ratio=0.5", "--captioner",
                           test::trained_captioner().captioner(), (scratch / "five/results.jsonl").string()});
  REQUIRE(ranked.exit_code == 0);
  std::vector<uint32_t> order, expected;
  const auto document = json::parse(ranked.out);
  for (const auto& row : document["results"]) order.push_back(row["candidate"]);
  for (const auto& row : rerank::read_results(scratch / "whole/results.jsonl"))
    expected.push_back(row.candidate);
  CHECK(order == expected);

  refused(run({"sample", "--prompt", "a cat", "--prune", "40", "--dry-run"}), 2,
          "--prune needs a scorer that reads tokens, and --scorer clip does not");
  refused(sample("none", "1"), 2, "--prune 1 leaves fewer pictures than --keep 2");
}

TEST_CASE("what does not fit a captioner is refused in one line") {
  const auto& data = test::trained_captioner();
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
  test::TrainedCaptioner::succeeds(data.shard("coarse", "4"));
  refused(test::run_program(data.train("none", "coarse")), 4, "grids of 4 with 32 codes");
  refused(test::run_program(data.train("none", "shards", {"--dvae", (scratch / "other").string()})), 4,
          "codes of another dVAE than");
}
