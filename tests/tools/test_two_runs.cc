// Two runs that want the same output folder.
#include <doctest/doctest.h>
#include <signal.h>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/io/folder_lock.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/program/output_folder.h"

using namespace dalle1;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> sample(const fs::path& out, const std::string& candidates,
                                std::vector<std::string> more) {
  std::vector<std::string> arguments = {"sample",   "--model",   test::shallow_model().string(),
                                        "--prompt", "a red cat", "--candidates",
                                        candidates, "--batch",   "4",
                                        "--out",    out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("of two runs into one folder the second is refused and changes nothing") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  REQUIRE(run_program(sample(out, "8", {})).exit_code == 0);
  const auto expected = test::products_of(out);
  bool met = false;
  const auto second = [&](int process, double) {
    // The first runs and holds the folder as soon as it has begun to write anew.
    if (met || !fs::exists(out / "run.json") || fs::exists(out / "grid.png")) return;
    kill(process, SIGSTOP);
    for (const char* how : {"--overwrite", "--resume"}) {
      const auto result = run_program(sample(out, "8", {how}));
      CHECK(result.exit_code == 2);
      CHECK_MESSAGE(result.error_line().find("another run uses " + out.string()) != std::string::npos,
                    result.err);
    }
    met = true;
    kill(process, SIGCONT);
  };
  test::ProgramOptions options;
  options.watch = second;
  CHECK(run_program(sample(out, "64", {"--overwrite"}), options).exit_code == 0);
  REQUIRE(met);
  // Once it has ended nothing holds the folder any more.
  CHECK(run_program(sample(out, "8", {"--overwrite"})).exit_code == 0);
  CHECK(test::products_of(out) == expected);
}

TEST_CASE("a run that was killed holds its folder no longer") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  test::ProgramOptions options;
  options.watch = [&](int process, double) {
    if (fs::exists(out / "run.json")) kill(process, SIGKILL);
  };
  CHECK(run_program(sample(out, "64", {}), options).exit_code == 128 + SIGKILL);
  CHECK(run_program(sample(out, "64", {"--resume"})).exit_code == 0);
}

TEST_CASE("a folder that is made for a run is held, empty or allowed to be used, and only once") {
  ScratchDir scratch;
  tools::CommonOptions common;
  common.quiet = true;
  const auto make = [&](bool may_be_used) {
    return tools::make_output_folder(common, scratch / "a/b", may_be_used, "choose another");
  };
  {
    const auto lock = make(false);
    CHECK_THROWS_WITH_AS(make(true), doctest::Contains("another run uses"), Error);
  }
  write_file_atomically(scratch / "a/b/file", "x");
  CHECK_THROWS_WITH_AS(make(false), doctest::Contains("is not empty; choose another"), Error);
  CHECK(make(true).held());
  CHECK_FALSE(tools::hold_existing_folder(common, scratch / "none"));
  CHECK_FALSE(fs::exists(scratch / "none"));
  CHECK_THROWS_AS(tools::make_output_folder(common, scratch / "a/b/file", true, ""), Error);
}

TEST_CASE("every command that fills a folder waits for none and deletes nothing in one that is held") {
  ScratchDir scratch;
  const auto held = scratch / "held";
  fs::create_directory(held);
  for (const char* name : {"000000.tokens", "run.json", "model.json", "verdicts.jsonl"})
    write_file_atomically(held / name, "precious");
  const auto before = test::products_of(held);
  const FolderLock lock(held);
  const auto model = test::shallow_model().string();
  write_file_atomically(scratch / "prompts.jsonl", "{\"prompt\": \"x\"}\n");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"sample", "--model", model, "--prompt", "x", "--overwrite"},
        {"convert", model, "--overwrite"},
        {"eval", "--model", model, "--prompts", (scratch / "prompts.jsonl").string(), "--checker",
         "/bin/true", "--overwrite"}}) {
    auto whole = arguments;
    whole.insert(whole.end(), {"--out", held.string()});
    const auto result = run_program(whole);
    CAPTURE(arguments[0]);
    CHECK(result.exit_code == 2);
    CHECK_MESSAGE(result.error_line().find("another run uses") != std::string::npos, result.err);
    CHECK(test::products_of(held) == before);
  }
}
