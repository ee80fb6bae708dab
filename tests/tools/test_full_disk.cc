// A disk that is full in mid-run: one line, exit code 8, and nothing that was finished is lost.
#include <doctest/doctest.h>

#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::products_of;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

test::ProgramResult sample(const fs::path& out, const std::string& wave, uint64_t most_file_bytes) {
  return run_program(
      {"sample", "--model", test::shallow_model().string(), "--prompt", "a red cat", "--candidates", "48",
       "--keep", "4", "--batch", wave, "--out", out.string(), "--resume"},
      {.environment = {},
       .directory = {},
       .standard_output = {},
       .watch = {},
       .most_seconds = 120,
       .terminal = false,
       .most_file_bytes = most_file_bytes});
}

std::map<std::string, std::string> waves_of(const fs::path& out) { return products_of(out / "tokens"); }

}  // namespace

TEST_CASE("a full disk is one line and exit code 8 wherever it strikes, and --resume goes on") {
  ScratchDir scratch;
  REQUIRE(sample(scratch / "whole", "16", 0).exit_code == 0);
  const auto expected = products_of(scratch / "whole");
  const auto out = scratch / "out";
  const auto full = [&](const std::string& wave, uint64_t most_file_bytes) {
    const auto result = sample(out, wave, most_file_bytes);
    CHECK_MESSAGE(result.exit_code == 8, result.err);
    CHECK_MESSAGE(result.error_line().find(out.string()) != std::string::npos, result.err);
    for (const auto& entry : fs::recursive_directory_iterator(out)) {
      CHECK_MESSAGE(entry.path().filename().string()[0] != '.',
                    "a half-written file stayed: ", entry.path().string());
    }
  };
  const auto wave_bytes = fs::file_size(scratch / "whole/tokens/wave-000000.jsonl"),
             sheet_bytes = fs::file_size(scratch / "whole/grid.png");
  REQUIRE(fs::file_size(scratch / "whole/run.json") < wave_bytes);
  full("16", 1000);            // the very first file; what is said about it fits
  full("16", wave_bytes - 1);  // the first wave with its scores; without them its tokens are there
  CHECK(fs::exists(out / "tokens/wave-000000.jsonl"));
  CHECK_FALSE(fs::exists(out / "results.jsonl"));

  // A run that was cut after its first wave meets a full disk at the second.
  const std::string first = "tokens/wave-000000.jsonl";
  fs::copy_file(scratch / "whole/run.json", out / "run.json", fs::copy_options::overwrite_existing);
  fs::copy_file(scratch / "whole" / first, out / first, fs::copy_options::overwrite_existing);
  full("32", wave_bytes + 100);
  CHECK(waves_of(out) ==
        std::map<std::string, std::string>{{"wave-000000.jsonl", test::content_of(out / first)}});
  CHECK(test::content_of(out / first) == test::content_of(scratch / "whole" / first));

  full("4", sheet_bytes - 1);  // all waves fit, the sheet does not
  CHECK(waves_of(out).size() == 1 + 32 / 4);
  CHECK_FALSE(fs::exists(out / "results.jsonl"));
  REQUIRE(sample(out, "8", 0).exit_code == 0);
  CHECK(products_of(out) == expected);
}
