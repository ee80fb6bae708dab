// A run goes on only on the kind of device that it began on.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/io/atomic_file.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::run_program;

TEST_CASE("a run that began on a GPU is not resumed on a CPU") {
  test::ScratchDir scratch;
  const auto out = scratch / "out";
  const std::vector<std::string> arguments = {"sample",    "--model",  test::shallow_model().string(),
                                              "--prompt",  "a circle", "--candidates",
                                              "2",         "--keep",   "1",
                                              "--device",  "cpu",      "--out",
                                              out.string()};
  REQUIRE(run_program(arguments).exit_code == 0);
  auto run = nlohmann::json::parse(test::content_of(out / "run.json"));
  CHECK_FALSE(run["options"].contains("batch"));
  CHECK(run["estimate"]["kv_dtype"] == "f32");
  auto resume = arguments;
  resume.push_back("--resume");
  CHECK(run_program(resume).exit_code == 0);

  run["options"]["batch"] = 2;
  run["options"]["kv_dtype"] = "bf16";
  write_file_atomically(out / "run.json", run.dump());
  const auto refused = run_program(resume);
  CHECK(refused.exit_code == 2);
  CHECK(refused.error_line().find("the run began on a GPU") != std::string::npos);
}
