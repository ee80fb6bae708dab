// Pipes and devices where files are expected.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "core/io/atomic_file.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

TEST_CASE("a pipe as any input is refused at once") {
  ScratchDir scratch;
  const auto pipe = (scratch / "pipe").string(), out = (scratch / "out").string();
  const auto model = test::shallow_model().string();
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  write_file_atomically(scratch / "picture.png",
                        test::content_of(test::golden("openai_clip_vit/small24.png")));
  const auto picture = (scratch / "picture.png").string();
  const std::vector<std::vector<std::string>> inputs = {
      {"info", pipe},
      {"info", "--config", pipe},
      {"inspect", pipe},
      {"convert", pipe, "--out", out},
      {"sample", "--prompts", pipe, "--out", out},
      {"sample", "--prompt", "x", "--model", pipe, "--out", out},
      {"sample", "--prompt", "x", "--clip", pipe, "--out", out},
      {"sample", "--prompt", "x", "--dvae", pipe, "--out", out},
      {"sample", "--prompt", "x", "--transformer", pipe, "--out", out},
      {"sample", "--prompt", "x", "--tokenizer", pipe, "--out", out},
      {"complete", "--image", pipe, "--keep-rows", "2", "--prompt", "x", "--out", out},
      {"complete", "--image", picture, "--mask", pipe, "--prompt", "x", "--out", out},
      {"vary", "--image", pipe, "--prompt", "x", "--out", out},
      {"rank", "--prompt", "x", pipe},
      {"classify", "--labels-file", pipe, picture},
      {"classify", "--labels", "a,b", pipe},
      {"embed", pipe, "--out", out},
      {"encode", pipe, "--out", out},
      {"decode", pipe, "--out", out},
      {"reconstruct", pipe, "--out", out},
      {"grid", pipe, "--out", out},
      {"tokenize", "--file", pipe},
      {"tokenize", "--print", "x", "--clip", pipe},
      {"logits", "--ids", pipe, "--out", out},
      {"masks", "--study", pipe, "--out", out},
      {"ablate", "--study", pipe, "--data", pipe, "--out", out},
      {"eval", "--prompts", pipe, "--checker", "/bin/true", "--out", out},
      {"train", "tokenizer", "--data", pipe, "--out", out},
      {"train", "dvae", "--config", pipe, "--data", pipe, "--out", out}};
  for (const auto& arguments : inputs) {
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    CAPTURE(line);
    test::ProgramOptions options;
    options.environment["DALLE1_MODEL"] = model;
    options.most_seconds = 30;
    const auto result = run_program(arguments, options);
    CHECK_MESSAGE((result.exit_code == 3 || result.exit_code == 4), result.exit_code);
    CHECK_MESSAGE(result.error_line().find("not a regular file") != std::string::npos, result.err);
    CHECK_FALSE(fs::exists(scratch / "out/run.json"));
  }
}

TEST_CASE("an output pipe gets the bytes of the file") {
  ScratchDir scratch;
  const auto pipe = scratch / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const auto embed = [&](const fs::path& out) {
    return run_program(
        {"embed", "--model", test::tiny_model().string(), "--text", "x", "--out", out.string()});
  };
  REQUIRE(embed(scratch / "file.npy").exit_code == 0);
  std::string got;
  std::thread reader([&] {
    std::ifstream stream(pipe, std::ios::binary);
    got.assign(std::istreambuf_iterator<char>(stream), {});
  });
  CHECK(embed(pipe).exit_code == 0);
  reader.join();
  CHECK(fs::is_fifo(pipe));
  CHECK(got == test::content_of(scratch / "file.npy"));
}

TEST_CASE("an output pipe that nobody reads waits, and SIGTERM ends that") {
  ScratchDir scratch;
  const auto pipe = scratch / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  test::ProgramOptions options;
  options.most_seconds = 60;
  bool sent = false;
  options.watch = [&](int process, double seconds) {
    if (!sent && seconds > 5) sent = kill(process, SIGTERM) == 0;
  };
  const auto result = run_program(
      {"masks", "--pattern", "row", "--text", "2", "--grid", "2", "--out", pipe.string()}, options);
  CHECK(result.exit_code == 143);
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("SIGTERM ends an evaluation whose checker never answers") {
  ScratchDir scratch;
  const auto checker = scratch / "checker", out = scratch / "out";
  write_file_atomically(checker, "#!/bin/sh\nexec sleep 1000\n");
  fs::permissions(checker, fs::perms::owner_all);
  write_file_atomically(scratch / "prompts.jsonl", "{\"prompt\": \"x\"}\n");
  test::ProgramOptions options;
  bool sent = false;
  options.watch = [&](int process, double) {
    if (!sent && fs::exists(out / "work/results.jsonl")) sent = kill(process, SIGTERM) == 0;
  };
  const auto result = run_program(
      {"eval", "--model", test::shallow_model().string(), "--prompts", (scratch / "prompts.jsonl").string(),
       "--checker", checker.string(), "--candidates", "1", "--scorer", "likelihood", "--out", out.string()},
      options);
  CHECK(sent);
  CHECK_MESSAGE(result.exit_code == 143, result.err);
}

TEST_CASE("an output folder may be a link to one") {
  ScratchDir scratch;
  fs::create_directory(scratch / "folder");
  fs::create_directory_symlink("folder", scratch / "link");
  const auto result = run_program({"sample", "--model", test::shallow_model().string(), "--prompt", "x",
                                   "--candidates", "2", "--out", (scratch / "link").string()});
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(fs::exists(scratch / "folder/grid.png"));
}
