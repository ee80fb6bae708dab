// Memory: what a run is said to take is what it takes, and it does not grow with the number of candidates.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

struct Run {
  double estimated = 0, peak = 0;
};

Run sample(const fs::path& model, const fs::path& out, int candidates, const std::string& wave,
           std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"sample",
                                        "--model",
                                        model.string(),
                                        "--prompt",
                                        "a red circle",
                                        "--candidates",
                                        std::to_string(candidates),
                                        "--batch",
                                        wave,
                                        "--threads",
                                        "2",
                                        "--out",
                                        out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = test::run_program(
      arguments,
      {.environment = {}, .directory = {}, .standard_output = {}, .watch = {}, .most_seconds = 1800});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const auto run = nlohmann::json::parse(test::content_of(out / "run.json"));
  const Run figures = {run["estimate"]["memory_bytes"]["total"].get<double>(), result.peak_bytes};
  MESSAGE(candidates << " candidates in waves of " << wave << ": estimated " << figures.estimated / 0x1p20
                     << " MiB, measured " << figures.peak / 0x1p20 << " MiB");
  CHECK(figures.estimated / figures.peak == doctest::Approx(1).epsilon(0.1));
  return figures;
}

}  // namespace

TEST_CASE("the estimate of memory is within 10% of the peak, which does not grow with the candidates") {
  ScratchDir scratch;
  test::TinyModel model;
  model.layers = 4;
  model.grid = 16;  // pictures of 128 pixels: enough memory to be seen beside the program's own
  model.width = 64;
  test::write_tiny_model(scratch / "model", model);
  const auto few = sample(scratch / "model", scratch / "64", 64, "32");
  const auto many = sample(scratch / "model", scratch / "512", 512, "32");
  CHECK(many.peak / few.peak == doctest::Approx(1).epsilon(0.1));
  sample(scratch / "model", scratch / "uneven", 40, "24", {"--guidance", "2"});
  sample(scratch / "model", scratch / "ratio", 8, "8", {"--scorer", "likelihood-ratio"});
}

TEST_SUITE("long") {
  TEST_CASE("the shipped model's estimates are within 10%, at 64 and at 512 candidates") {
    ScratchDir scratch;
    const fs::path model = fs::path(DALLE1_SOURCE_DIR) / "weights/default";
    const auto few = sample(model, scratch / "64", 64, "64");
    const auto many = sample(model, scratch / "512", 512, "64");
    CHECK(many.peak / few.peak == doctest::Approx(1).epsilon(0.1));
  }
}
