// Runs that are cut, killed and resumed.
#include <doctest/doctest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <span>

#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "core/text/train_sentencepiece.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "weights/sha256.h"

using namespace dalle1;
using test::content_of;
using test::products_of;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> arguments_for(const fs::path& out, int candidates, bool resume,
                                       const fs::path& model = test::tiny_model()) {
  std::vector<std::string> arguments = {"sample",
                                        "--model",
                                        model.string(),
                                        "--prompt",
                                        "a red cat",
                                        "--candidates",
                                        std::to_string(candidates),
                                        "--keep",
                                        "4",
                                        "--batch",
                                        "4",
                                        "--out",
                                        out.string()};
  if (resume) arguments.push_back("--resume");
  return arguments;
}

test::ProgramResult run(const fs::path& out, int candidates, bool resume,
                        std::function<void(int, double)> watch = {}) {
  return run_program(arguments_for(out, candidates, resume),
                     {.environment = {}, .directory = {}, .standard_output = {}, .watch = std::move(watch)});
}

// Kills the program at random moments of its life; every resume must end with the same files.
void kill_and_resume(int kills, uint32_t index) {
  constexpr int kCandidates = 16;
  ScratchDir scratch;
  double seconds = 0;
  REQUIRE(run(scratch / "whole", kCandidates, false, [&](int, double now) { seconds = now; }).exit_code == 0);
  const auto expected = products_of(scratch / "whole");
  RandomStream random(11, Stream::test, index);
  int cut = 0;
  for (int done = 0; done < kills; ++cut) {
    const auto out = scratch / ("out-" + std::to_string(cut));
    // Several kills in a row hit resumed runs, too.
    for (int again = 0; again < 3 && done < kills; ++again, ++done) {
      const double moment = seconds * random.uniform() * 1.1;
      bool sent = false;
      run(out, kCandidates, true, [&](int process, double now) {
        if (!sent && now >= moment) sent = kill(process, SIGKILL) == 0;
      });
    }
    REQUIRE(run(out, kCandidates, true).exit_code == 0);
    CHECK(products_of(out) == expected);
    fs::remove_all(out);
  }
}

// Whether a file whose name begins so is in the folder or in its tokens/.
bool is_there(const fs::path& out, const std::string& prefix) {
  for (const auto& folder : {out, out / "tokens"}) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; entry != end; entry.increment(error))
      if (entry->path().filename().string().rfind(prefix, 0) == 0) return true;
  }
  return false;
}

// Runs the program up to the moment (see kill_at/kill_at.cc); whether it got there.
bool kill_at(const fs::path& out, const std::string& moment) {
  const auto result =
      run_program(arguments_for(out, 8, true, test::shallow_model()),
                  {.environment = {{"LD_PRELOAD", DALLE1_KILL_AT_LIBRARY}, {"DALLE1_KILL_AT", moment}}});
  return result.exit_code == 128 + SIGKILL;
}

// The model's file of a part, with one bit of one weight changed.
std::string altered_part(const std::string& part) {
  auto bytes = content_of(test::shallow_model() / (part + ".safetensors"));
  bytes[bytes.size() - 4] ^= 1;
  return bytes;
}

std::string other_tokenizer() {
  const std::vector<std::string> captions = {"a red cat and a red car", "the cat read a card",
                                             "a tar red act"};
  size_t next = 0;
  text::SentencePieceTraining training;
  training.vocab_size = 20;
  training.character_coverage = 1.0;
  return text::train_sentencepiece(
      [&]() -> std::optional<std::string> {
        return next < captions.size() ? std::optional(captions[next++]) : std::nullopt;
      },
      training);
}

// The model with another file in place of one.
fs::path model_with(const fs::path& folder, const std::string& file, const std::string& content) {
  fs::copy(test::shallow_model(), folder);
  write_file_atomically(folder / file, content);
  auto document = nlohmann::json::parse(content_of(folder / "model.json"));
  document["files"][file] = {{"bytes", content.size()},
                             {"sha256", weights::sha256(std::as_bytes(std::span(content)))}};
  write_file_atomically(folder / "model.json", document.dump());
  return folder;
}

}  // namespace

TEST_CASE("a cut run is not resumed with another part of the model") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  bool sent = false;
  const auto cut = run_program(
      arguments_for(out, 200, false, test::shallow_model()),
      {.environment = {}, .directory = {}, .standard_output = {}, .watch = [&](int process, double) {
         if (!sent && fs::exists(out / "tokens/wave-000000.jsonl")) sent = kill(process, SIGINT) == 0;
       }});
  REQUIRE(cut.exit_code == 130);
  const auto before = products_of(out);
  const auto resume = [&](const fs::path& model, const std::vector<std::string>& more = {}) {
    auto arguments = arguments_for(out, 200, true, model);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  const auto check_refused = [](const test::ProgramResult& result, const std::string& option) {
    CHECK(result.exit_code == 2);
    CHECK_MESSAGE(result.error_line().find(option + " (") != std::string::npos, result.err);
  };
  for (const std::string part : {"transformer", "dvae", "clip"})
    check_refused(resume(model_with(scratch / part, part + ".safetensors", altered_part(part))), "--" + part);
  check_refused(resume(model_with(scratch / "text", "text.model", other_tokenizer())), "--tokenizer");
  const auto other_dvae = (scratch / "dvae" / "dvae.safetensors").string();
  check_refused(resume(test::shallow_model(), {"--dvae", other_dvae}), "--dvae");
  CHECK(products_of(out) == before);
  CHECK(resume(test::shallow_model()).exit_code == 0);
}

TEST_CASE("SIGINT once: the run is ranked as far as it is complete, and resumes to the same files") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  bool sent = false;
  const auto cut = run(out, 48, false, [&](int process, double) {
    if (!sent && fs::exists(out / "tokens/wave-000004.jsonl")) sent = kill(process, SIGINT) == 0;
  });
  CHECK(cut.exit_code == 130);
  CHECK_MESSAGE(cut.error_line().find("--resume goes on") != std::string::npos, cut.err);
  CHECK(nlohmann::json::parse(content_of(out / "run.json"))["status"] == "partial");
  const auto rows = rerank::read_results(out / "results.jsonl");
  CHECK(rows.size() >= 4);
  CHECK(rows.size() < 48);
  CHECK(fs::exists(out / "grid.png"));
  const auto inspected = run_program({"inspect", (out / "grid.png").string(), "--json"});
  CHECK(nlohmann::json::parse(inspected.out)["dalle1"]["partial"] == true);

  REQUIRE(run(out, 48, true).exit_code == 0);
  REQUIRE(run(scratch / "whole", 48, false).exit_code == 0);
  CHECK(products_of(out) == products_of(scratch / "whole"));
}

TEST_CASE("SIGTERM exits with 143; a second signal ends the program at once") {
  ScratchDir scratch;
  bool sent = false;
  const auto terminated = run(scratch / "a", 400, false, [&](int process, double) {
    if (!sent && fs::exists(scratch / "a/tokens/wave-000000.jsonl")) sent = kill(process, SIGTERM) == 0;
  });
  CHECK(terminated.exit_code == 143);
  CHECK(terminated.error_lines() == 1);

  // Stopped, the process takes both signals together when it goes on: the second finds the first caught.
  bool stopped = false;
  const auto twice = run(scratch / "b", 400, false, [&](int process, double) {
    if (stopped || !fs::exists(scratch / "b/tokens/wave-000000.jsonl")) return;
    stopped = true;
    kill(process, SIGSTOP);
    kill(process, SIGINT);
    kill(process, SIGTERM);
    kill(process, SIGCONT);
  });
  CHECK((twice.exit_code == 130 || twice.exit_code == 143));
  CHECK(twice.error_lines() == 0);
  CHECK(nlohmann::json::parse(content_of(scratch / "b/run.json"))["status"] == "running");
}

TEST_CASE("killed while a file is written, and right after its renaming, every resume gives the same files") {
  ScratchDir scratch;
  REQUIRE(run_program(arguments_for(scratch / "whole", 8, false, test::shallow_model())).exit_code == 0);
  const auto expected = products_of(scratch / "whole");
  for (const std::string file :
       {"run.json", "wave-000000", "wave-000004", "rank-000", "grid.png", "results"}) {
    for (const auto& moment : {"writing:." + file, "renamed:" + file}) {
      CAPTURE(moment);
      const auto out = scratch / moment;
      CHECK(kill_at(out, moment));
      CHECK(is_there(out, moment.starts_with("writing") ? "." + file : file));
      const auto resumed = run_program(arguments_for(out, 8, true, test::shallow_model()));
      CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
      CHECK(products_of(out) == expected);
      CHECK_FALSE(is_there(out, "."));
    }
  }
}

TEST_CASE("killed at random moments, every resume gives the same files") { kill_and_resume(4, 0); }

TEST_SUITE("long") {
  TEST_CASE("killed 100 times at random moments, every resume gives the same files") {
    kill_and_resume(100, 1);
  }
}
