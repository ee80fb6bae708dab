// `dalle1 sample` and its kin started by mpirun: a run's folder is that of one process.
#include <doctest/doctest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/mpi/ranks.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> sample(const fs::path& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"sample",   "--model",   shallow_model().string(),
                                 "--prompt", "a red cat", "--candidates",
                                 "22",       "--batch",   "4",
                                 "--keep",   "5",         "--threads",
                                 "1",        "--out",     out.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void same_run(const fs::path& one, const fs::path& other) {
  CHECK(products_of(one) == products_of(other));
  CHECK(products_of(one / "tokens") == products_of(other / "tokens"));
  CHECK(products_of(one / "tokens").size() == 6);
}

// The folder of a run in one process.
const fs::path& whole() {
  static const ScratchDir scratch;
  static const fs::path folder = [] {
    REQUIRE(run_program(sample(scratch / "run")).exit_code == 0);
    return scratch / "run";
  }();
  return folder;
}

// Whole ones: a run may be writing another.
int waves_in(const fs::path& out) {
  int count = 0;
  if (!fs::exists(out / "tokens")) return 0;
  for (const auto& entry : fs::directory_iterator(out / "tokens"))
    count += entry.path().filename().string().starts_with("wave-");
  return count;
}

}  // namespace

TEST_CASE("a run's folder is that of one process for any number of ranks, more than waves included") {
  const ScratchDir scratch;
  for (const int ranks : {2, 4, 8}) {
    const auto out = scratch / std::to_string(ranks);
    const auto result = run_program(sample(out, {"--progress", "plain"}), on_ranks(ranks));
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    CHECK(result.out == (out / "grid.png").string() + "\n");
    CHECK_MESSAGE(result.err.find("22/22 candidates") != std::string::npos, result.err);
    same_run(out, whole());
    CHECK(nlohmann::json::parse(content_of(out / "run.json"))["status"] == "done");
  }
  // A second call finds nothing left to do.
  CHECK(run_program(sample(scratch / "2", {"--resume"}), on_ranks(2)).exit_code == 0);
  same_run(scratch / "2", whole());
}

TEST_CASE("pruned runs are shared: rank 0 looks at the best of all ranks' candidates") {
  const ScratchDir scratch;
  const std::vector<std::string> prune{"--prune", "6", "--scorer", "likelihood"};
  const auto one = run_program(sample(scratch / "one", prune));
  REQUIRE_MESSAGE(one.exit_code == 0, one.err);
  const auto ranks = run_program(sample(scratch / "ranks", prune), on_ranks(3));
  REQUIRE_MESSAGE(ranks.exit_code == 0, ranks.err);
  same_run(scratch / "ranks", scratch / "one");
  CHECK(content_of(scratch / "one/results.jsonl").find("\"pruned\":true") != std::string::npos);
}

TEST_CASE("completions and lists of prompts are shared, too") {
  const ScratchDir scratch;
  write_text(scratch / "prompts.txt", "a red cat\na blue star\n");
  const auto picture = (whole() / "grid.png").string();
  for (const std::string name : {"one", "ranks"}) {
    const auto options = name == "one" ? ProgramOptions{} : on_ranks(2);
    std::vector<std::string> complete{"complete", "--image",  picture, "--keep-rows",
                                      "3",        "--prompt", "a cat"};
    std::vector<std::string> prompts{"sample", "--prompts", (scratch / "prompts.txt").string()};
    for (auto* words : {&complete, &prompts}) {
      words->insert(words->end(),
                    {"--model", shallow_model().string(), "--candidates", "5", "--batch", "2", "--threads",
                     "1", "--out", (scratch / (name + "-" + words->front())).string()});
      const auto result = run_program(*words, options);
      REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    }
  }
  CHECK(products_of(scratch / "one-complete") == products_of(scratch / "ranks-complete"));
  for (const char* prompt : {"prompt-0000", "prompt-0001"}) {
    CHECK(products_of(scratch / "one-sample" / prompt) == products_of(scratch / "ranks-sample" / prompt));
    CHECK(products_of(scratch / "one-sample" / prompt).size() > 2);
  }
}

TEST_CASE("a rank that is killed while drawing is named, and the run goes on with any number of ranks") {
  const ScratchDir scratch;
  const auto out = scratch / "out";
  auto options = on_ranks(2);
  double killed_at = -1, ended_at = 0;
  options.watch = [&](int launcher, double seconds) {
    ended_at = seconds;
    if (killed_at >= 0 || waves_in(out) < 2) return;
    kill(process_of_rank(launcher, 1), SIGKILL);
    killed_at = seconds;
  };
  const auto result = run_program(sample(out), options);
  REQUIRE(killed_at >= 0);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK(ended_at - killed_at < 10);
  CHECK_MESSAGE(result.err.find("process rank 1 ") != std::string::npos, result.err);
  CHECK_FALSE(fs::exists(out / "grid.png"));
  REQUIRE(run_program(sample(out, {"--resume"}), on_ranks(3)).exit_code == 0);
  same_run(out, whole());
}

TEST_CASE("a run that is asked to stop is ranked as far as it is, and goes on in one process") {
  const ScratchDir scratch;
  const auto out = scratch / "out";
  auto options = on_ranks(2);
  bool sent = false;
  options.watch = [&](int launcher, double) {
    if (sent || waves_in(out) < 2) return;
    kill(launcher, SIGUSR1);
    sent = true;
  };
  says(run_program(sample(out), options), 128 + SIGUSR1, "are complete and ranked in");
  CHECK(fs::exists(out / "grid.png"));
  REQUIRE(run_program(sample(out, {"--resume"})).exit_code == 0);
  same_run(out, whole());
}

TEST_CASE("a rank with other options or another model is refused by name before any wave") {
  const ScratchDir scratch;
  const auto out = scratch / "out";
  auto other = sample(out);
  other[4] = "a blue cat";
  says(run_program(other, beside_rank_0(sample(out))), 2,
       "'/options/prompt' is \"a blue cat\", on rank 0 it is \"a red cat\"");
  const auto model = scratch / "model";
  write_tiny_model(model, {.layers = 5});
  other = sample(out, {"--overwrite"});
  other[2] = model.string();
  says(run_program(other, beside_rank_0(sample(out, {"--overwrite"}))), 2, "error: rank 1 on ");
  CHECK(waves_in(out) == 0);
}

TEST_CASE("doctor shows the ranks and how fast they sum") {
  const auto report = run_program({"doctor", "--json", "--threads", "1"}, on_ranks(2));
  REQUIRE_MESSAGE(report.exit_code == 0, report.err);
  const auto json = nlohmann::json::parse(report.out);
  CHECK(json["mpi"].get<std::string>().find("MPI") != std::string::npos);
  REQUIRE(json["job"]["ranks"].size() == 2);
  CHECK(json["job"]["ranks"][1]["rank"] == 1);
  CHECK_FALSE(json["job"]["ranks"][1]["host"].get<std::string>().empty());
  CHECK(json["job"]["all_reduce_seconds"] > 0);
  const auto text = run_program({"doctor", "--threads", "1"}, on_ranks(2)).out;
  CHECK_MESSAGE(text.find("\nrank 1   ") != std::string::npos, text);
  CHECK_MESSAGE(text.find("sum      64 MB of all ranks in ") != std::string::npos, text);
  CHECK_FALSE(nlohmann::json::parse(run_program({"doctor", "--json"}).out).contains("job"));
}

}  // namespace dalle1::test
