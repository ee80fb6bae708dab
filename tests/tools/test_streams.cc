// Streams that are full, closed or read no longer.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> sample(const fs::path& out, const std::string& candidates = "2") {
  return {"sample",   "--model",   test::shallow_model().string(),
          "--prompt", "a red cat", "--candidates",
          candidates, "--out",     out.string()};
}

}  // namespace

TEST_CASE("progress that cannot be shown stops nothing and changes no exit code") {
  ScratchDir scratch;
  const auto tokens = scratch / "tokens.npy";
  REQUIRE(
      run_program({"embed", "--model", test::tiny_model().string(), "--text", "x", "--out", tokens.string()})
          .exit_code == 0);
  const auto run = [&](const std::string& name, const test::ProgramOptions& options) {
    CAPTURE(name);
    CHECK(run_program(sample(scratch / name), options).exit_code == 0);
    CHECK(fs::exists(scratch / name / "grid.png"));
    CHECK(run_program(sample(scratch / name), options).exit_code == 2);  // the folder is not empty
    CHECK(run_program(sample(scratch / "none", "0"), options).exit_code == 2);
    const auto npy = scratch / (name + ".npy");
    CHECK(run_program({"embed", "--model", test::tiny_model().string(), "--text", "x", "--out", npy.string()},
                      options)
              .exit_code == 0);
    // Nothing that was meant for the stream went into a file that took its number.
    CHECK(test::content_of(npy) == test::content_of(tokens));
  };
  test::ProgramOptions full, closed;
  full.standard_error = "/dev/full";
  closed.closed = {STDERR_FILENO};
  run("full", full);
  run("closed", closed);
  full.environment["DALLE1_PROGRESS"] = "json";
  run("full-json", full);
}

TEST_CASE("results that cannot be written are one line and exit code 8") {
  const auto model = test::tiny_model().string();
  test::ProgramOptions full, closed;
  full.standard_output = "/dev/full";
  closed.closed = {STDOUT_FILENO};
  for (const auto& options : {full, closed}) {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"--help"},
          {"--version"},
          {"sample", "--help"},
          {"train"},
          {"info", model},
          {"info", model, "--tensors"},
          {"tokenize", "--model", model, "--print", "x"},
          {"tokenize", "--model", model, "--print", "x", "--json"}}) {
      CAPTURE(arguments.back());
      const auto result = run_program(arguments, options);
      const bool usage = arguments[0] == "train";  // one more word is needed, whatever stdout does
      CHECK(result.exit_code == (usage ? 2 : 8));
      CHECK_MESSAGE(result.error_lines() == 1, result.err);
    }
  }
}

TEST_CASE("a reader that goes early is an error and no signal") {
  ScratchDir scratch;
  const auto pipe = (scratch / "pipe").string();
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::thread reader([&] { close(open(pipe.c_str(), O_RDONLY)); });  // gone before the program prints
  test::ProgramOptions options;
  options.standard_output = pipe;
  const auto result = run_program({"info", test::tiny_model().string(), "--tensors"}, options);
  reader.join();
  CHECK(result.exit_code == 8);
  CHECK(result.error_lines() == 1);
}
