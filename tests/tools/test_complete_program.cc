// dalle1 complete and vary from end to end.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

// Something to see in every cell, 96 x 64: the centred square begins at x = 16.
fs::path write_picture(const fs::path& path) {
  Image picture(96, 64, 3);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 96; ++x)
      for (int c = 0; c < 3; ++c)
        picture.at(x, y)[c] = static_cast<uint8_t>(random_block(1, Stream::test, y / 8, x / 8, c)[0]);
  write_png(path, picture);
  return path;
}

test::ProgramResult draw(const std::string& command, const fs::path& picture, const fs::path& out,
                         std::vector<std::string> more) {
  std::vector<std::string> arguments = {command,
                                        "--model",
                                        test::tiny_model().string(),
                                        "--prompt",
                                        "a red cat",
                                        "--image",
                                        picture.string(),
                                        "--candidates",
                                        "6",
                                        "--keep",
                                        "6",
                                        "--out",
                                        out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run_program(arguments);
}

std::vector<int64_t> tokens_of(const fs::path& out, uint32_t candidate) {
  for (const auto& row : rerank::read_results(out / "results.jsonl"))
    if (row.candidate == candidate) return {row.tokens.begin(), row.tokens.end()};
  return {};
}

}  // namespace

TEST_CASE("kept tokens are the picture's own in every candidate, and redrawn ones differ") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png");
  const auto result = draw("complete", picture, scratch / "rows", {"--keep-rows", "4"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const auto first = tokens_of(scratch / "rows", 0);
  bool differ = false;
  for (const auto& row : rerank::read_results(scratch / "rows" / "results.jsonl")) {
    CHECK(row.sampled_cells == 32);
    CHECK(row.forced_log_likelihood < 0);
    for (size_t cell = 0; cell < 32; ++cell) CHECK(row.tokens[cell] == first[cell]);
    for (size_t cell = 32; cell < 64; ++cell) differ = differ || row.tokens[cell] != first[cell];
  }
  CHECK(differ);

  // The same picture by a region of the same cells, in pixels of the given picture.
  REQUIRE(draw("complete", picture, scratch / "region", {"--region", "16,32,64,32"}).exit_code == 0);
  CHECK(tokens_of(scratch / "region", 3) == tokens_of(scratch / "rows", 3));

  REQUIRE(draw("complete", picture, scratch / "middle", {"--region", "32,16,16,16"}).exit_code == 0);
  const auto middle = tokens_of(scratch / "middle", 0);
  for (size_t cell = 0; cell < 64; ++cell) {
    const bool inside = cell / 8 >= 2 && cell / 8 < 4 && cell % 8 >= 2 && cell % 8 < 4;
    if (!inside && cell < 32) CHECK(middle[cell] == first[cell]);
  }
  REQUIRE(
      draw("complete", picture, scratch / "rest", {"--region", "32,16,16,16", "--redraw-rest"}).exit_code ==
      0);
  CHECK(rerank::read_results(scratch / "rest" / "results.jsonl").at(0).sampled_cells == 4 + 4 + 32);
}

TEST_CASE("the sheet shows the given picture first, and pasting keeps its pixels") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png");
  REQUIRE(draw("complete", picture, scratch / "out", {"--keep-rows", "4", "--paste"}).exit_code == 0);
  const auto given = crop(read_image(picture), 16, 0, 64, 64);
  for (const auto& row : rerank::read_results(scratch / "out" / "results.jsonl")) {
    const auto drawn = read_image(scratch / "out" / row.file);
    for (int y = 0; y < 24; ++y)
      for (int x = 0; x < 64; ++x) CHECK(std::equal(drawn.at(x, y), drawn.at(x, y) + 3, given.at(x, y)));
  }
}

TEST_CASE("variations keep several depths in turn") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png");
  const auto result = draw("vary", picture, scratch / "out", {"--depths", "2,4,6"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  for (const auto& row : rerank::read_results(scratch / "out" / "results.jsonl"))
    CHECK(row.sampled_cells == 64 - 8 * std::vector{2, 4, 6}[row.candidate % 3]);
}

namespace {

// Of candidates, by column, scored again from their tokens.
nlohmann::json ranked_again(const fs::path& results, const std::string& scorer) {
  const auto result = test::run_program({"rank", results.string(), "--model", test::tiny_model().string(),
                                         "--scorer", scorer, "--json", "--quiet"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return nlohmann::json::parse(result.out)["results"];
}

// Each score is that of sampling within the rounding of another order of sums.
void check_scored_alike(const fs::path& results, const std::string& scorer) {
  const auto rows = rerank::read_results(results);
  const auto again = ranked_again(results, scorer);
  REQUIRE(again.size() == rows.size());
  for (const auto& entry : again) {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& each) { return each.candidate == entry["candidate"]; });
    REQUIRE(row != rows.end());
    const double likelihood = row->log_likelihood / row->sampled_cells;
    for (const auto& [name, score] : row->scores)
      CHECK_MESSAGE(std::abs(entry["scores"][name].get<double>() - score) < 1e-5 * std::abs(likelihood),
                    name);
  }
}

// As version 0.1 wrote results.
void forget_forced_cells(const fs::path& results) {
  std::string text;
  for (auto row : rerank::read_results(results)) {
    CHECK(row.says_forced());
    row.forced.clear();
    text += to_line(row) + "\n";
  }
  write_file_atomically(results, text);
}

}  // namespace

TEST_CASE("forced cells do not count in a likelihood, neither in sampling nor when scored again") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png");
  const std::vector<std::pair<std::string, std::vector<std::string>>> runs = {
      {"complete", {"--keep-rows", "6"}},
      {"complete", {"--region", "32,16,16,16", "--guidance", "3", "--negative", "a blue square"}},
      {"vary", {"--depths", "2,6"}}};
  for (size_t i = 0; i < runs.size(); ++i) {
    CAPTURE(i);
    auto [command, more] = runs[i];
    more.insert(more.end(), {"--scorer", "likelihood-ratio"});
    const auto out = scratch / std::to_string(i);
    const auto drawn = draw(command, picture, out, more);
    REQUIRE_MESSAGE(drawn.exit_code == 0, drawn.err);
    for (const auto& row : rerank::read_results(out / "results.jsonl"))
      CHECK(row.scores[1].second == row.log_likelihood / row.sampled_cells);
    check_scored_alike(out / "results.jsonl", "likelihood-ratio");
  }
}

TEST_CASE("results that do not say which cells were given: the first ones are assumed, if that can be") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png"), vary = scratch / "vary" / "results.jsonl",
             region = scratch / "region" / "results.jsonl";
  REQUIRE(draw("vary", picture, scratch / "vary", {"--depths", "2,6", "--scorer", "likelihood"}).exit_code ==
          0);
  forget_forced_cells(vary);
  check_scored_alike(vary, "likelihood");
  REQUIRE(draw("complete", picture, scratch / "region", {"--region", "32,16,16,16"}).exit_code == 0);
  forget_forced_cells(region);
  const auto refused = test::run_program(
      {"rank", region.string(), "--model", test::tiny_model().string(), "--scorer", "likelihood"});
  CHECK(refused.exit_code == 3);
  CHECK_MESSAGE(refused.error_line().find("which cells of a completion") != std::string::npos, refused.err);
  CHECK(ranked_again(region, "clip").size() == 6);
}

TEST_CASE("the folder of a completion is resumed by the command that began it only") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png"), out = scratch / "out";
  REQUIRE(draw("complete", picture, out, {"--keep-rows", "4"}).exit_code == 0);
  const auto before = test::products_of(out);
  const auto sample =
      test::run_program({"sample", "--model", test::tiny_model().string(), "--prompt", "a red cat",
                         "--candidates", "6", "--keep", "6", "--out", out.string(), "--resume"});
  CHECK(sample.exit_code == 2);
  CHECK_MESSAGE(sample.error_line().find("the run has --image") != std::string::npos, sample.err);
  const auto vary = draw("vary", picture, out, {"--depths", "4", "--resume"});
  CHECK(vary.exit_code == 2);
  CHECK(draw("complete", picture, out, {"--keep-rows", "4", "--resume"}).exit_code == 0);
  CHECK(test::products_of(out) == before);
}

TEST_CASE("bad pictures and bad places are one line") {
  ScratchDir scratch;
  const auto picture = write_picture(scratch / "given.png");
  const auto refused = [&](std::vector<std::string> more, int exit_code) {
    const auto result = draw("complete", picture, scratch / "out", std::move(more));
    CHECK_MESSAGE(result.exit_code == exit_code, result.err);
    CHECK(result.error_lines() == 1);
    CHECK_FALSE(fs::exists(scratch / "out"));
  };
  refused({"--keep-rows", "8"}, 2);
  refused({"--region", "0,0,10,10"}, 3);
  refused({"--region", "90,0,10,10"}, 3);
  refused({"--region", "1,2,3"}, 2);
  refused({"--mask", (scratch / "none.png").string()}, 3);
  refused({"--mask", picture.string(), "--keep-rows", "3"}, 2);
  CHECK(draw("complete", scratch / "none.png", scratch / "out", {"--keep-rows", "3"}).exit_code == 3);
}
