// What version 0.1.0 drew with a model of random numbers, and a run of it that was cut, against this version.
// See tests/golden/v0_1_0/README.md.
#include <doctest/doctest.h>

#include <fstream>

#include "core/image/png.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "weights/sha256.h"

using namespace dalle1;
using rerank::Json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

constexpr const char* kFile = "v0_1_0/drawings.json";

// All of the shape that ships but the width.
const fs::path& model() {
  static const ScratchDir scratch;
  static const fs::path folder = [] {
    test::write_tiny_model(
        scratch / "model",
        {.layers = 6, .width = 64, .grid = 32, .text_length = 64, .codes = 8192, .clip = false});
    return scratch / "model";
  }();
  return folder;
}

Json model_files() { return Json::parse(test::content_of(model() / "model.json"))["files"]; }

// A white square on a ground that turns from blue to green: 256 x 256, as the dVAE takes it.
void write_given(const fs::path& path) {
  Image picture(256, 256, 3);
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x < 256; ++x) {
      const bool inside = x >= 88 && x < 168 && y >= 40 && y < 120;
      const uint8_t ground[3] = {uint8_t(x / 4), uint8_t(y), uint8_t(255 - y)};
      for (int c = 0; c < 3; ++c) picture.at(x, y)[c] = inside ? 255 : ground[c];
    }
  write_png(path, picture);
}

std::string digest_of(const std::vector<int32_t>& tokens) {
  return weights::sha256(std::as_bytes(std::span(tokens)));
}

// By candidate: a digest of the tokens, and the likelihoods with all their digits.
Json summary_of(const fs::path& run) {
  auto rows = rerank::read_results(run / "results.jsonl");
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.candidate < b.candidate; });
  Json summary = Json::array();
  for (const auto& row : rows)
    summary.push_back({{"candidate", row.candidate},
                       {"tokens", digest_of(row.tokens)},
                       {"log_likelihood", row.log_likelihood},
                       {"forced_log_likelihood", row.forced_log_likelihood},
                       {"sampled_cells", row.sampled_cells},
                       {"likelihood", row.standing().score}});
  return summary;
}

test::ProgramResult draw(std::vector<std::string> arguments, const fs::path& out) {
  arguments.insert(arguments.end(),
                   {"--prompt", "a red circle above a blue square", "--model", model().string(), "--scorer",
                    "likelihood", "--candidates", "4", "--keep", "1", "--out", out.string()});
  return test::run_program(arguments);
}

Json drawn(const std::vector<std::string>& arguments) {
  const ScratchDir scratch;
  auto all = arguments;
  all.insert(all.end(), {"--precision", "f32"});
  if (all[0] != "sample") {
    write_given(scratch / "given.png");
    all.insert(all.end(), {"--image", (scratch / "given.png").string()});
  }
  const auto result = draw(all, scratch / "out");
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return summary_of(scratch / "out");
}

const std::vector<std::pair<std::string, std::vector<std::string>>>& drawings() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> all = {
      {"sample", {"sample", "--guidance", "2", "--temperature", "0.8"}},
      {"sample, guidance 1", {"sample", "--guidance", "1", "--top-k", "256", "--top-p", "0.95"}},
      {"complete", {"complete", "--keep-rows", "16", "--guidance", "2"}},
      {"complete, in the middle",
       {"complete", "--region", "64,96,96,64", "--guidance", "2", "--negative", "a yellow star"}},
      {"vary", {"vary", "--depths", "8,16,24"}}};
  return all;
}

Json golden_drawings() {
  auto golden = Json::parse(test::content_of(test::golden(kFile)));
  for (const char* part : {"transformer.safetensors", "dvae.safetensors", "text.model"})
    REQUIRE_MESSAGE(golden["model"][part] == model_files()[part]["sha256"], part,
                    " is not that of the goldens");
  return golden;
}

}  // namespace

TEST_CASE("tokens and likelihoods are those of 0.1.0, to the bit") {
  const auto golden = golden_drawings();
  REQUIRE(golden["drawings"].size() == drawings().size());
  for (const auto& [name, arguments] : drawings())
    CHECK_MESSAGE(drawn(arguments) == golden["drawings"][name], name);
}

TEST_CASE("a run that 0.1.0 began is finished with the candidates of 0.1.0") {
  const auto golden = golden_drawings();
  const ScratchDir scratch;
  fs::copy(test::golden("v0_1_0/run"), scratch / "run", fs::copy_options::recursive);
  const auto before = rerank::read_results(scratch / "run" / "results.jsonl");
  REQUIRE(before.size() == 2);
  auto arguments = drawings().front().second;
  arguments.push_back("--resume");
  const auto result = draw(arguments, scratch / "run");
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(summary_of(scratch / "run") == golden["drawings"]["sample"]);
  const auto run = Json::parse(test::content_of(scratch / "run" / "run.json"));
  CHECK(run["status"] == "done");
  CHECK(run["candidates_done"] == 4);
}

TEST_CASE("write the drawings of the goldens" * doctest::skip()) {
  Json golden = {{"version", DALLE1_VERSION}, {"model", Json::object()}, {"drawings", Json::object()}};
  const auto files = model_files();
  for (const auto& [file, facts] : files.items()) golden["model"][file] = facts["sha256"];
  for (const auto& [name, arguments] : drawings()) golden["drawings"][name] = drawn(arguments);
  std::ofstream(fs::path(DALLE1_SOURCE_DIR "/tests/golden") / kFile) << golden.dump(1) << "\n";
}
