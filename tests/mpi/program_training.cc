// `dalle1 train` started by mpirun: each model's files are those of one process.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "tests/mpi/trainings.h"

#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

const Model& transformer() { return models()[0]; }

constexpr int64_t kLong = 120;  // steps: there is time to hurt a rank

// The run of so many steps in one process.
const std::string& unhurt() {
  static const std::string folder = [] {
    succeeds(run_program(training(transformer(), "unhurt", json::object(), kLong)));
    return data().at("unhurt");
  }();
  return folder;
}

bool has_checkpoint(const std::string& out, int64_t step) {
  return fs::exists(fs::path(data().at(out)) / fmt::format("checkpoints/checkpoint-{:08}.safetensors", step));
}

}  // namespace

TEST_CASE("every model: the checkpoint, the model and the figures of ranks are those of one process") {
  for (const Model& model : models()) {
    CAPTURE(model.name);
    const auto one = data().at(model.name + "-one");
    succeeds(run_program(training(model, model.name + "-one")));
    for (const int ranks : {2, 4}) {
      const auto out = fmt::format("{}-{}", model.name, ranks);
      const auto result = run_program(training(model, out), on_ranks(ranks));
      succeeds(result);
      CHECK(result.out == data().at(out + "/model") + "\n");  // said once
      same_run(data().at(out), one, "checkpoint-00000006.safetensors");
    }
  }
}

TEST_CASE("a run goes on with fewer ranks, and with one") {
  succeeds(run_program(training(transformer(), "whole")));
  const auto words = training(transformer(), "parts");
  const auto a_step = with(words, {"--max-minutes", "0.000001"});
  succeeds(run_program(a_step, on_ranks(4)));
  CHECK(figures(data().at("parts")).size() == 1);
  succeeds(run_program(with(a_step, {"--resume"}), on_ranks(2)));
  CHECK(figures(data().at("parts")).size() == 2);
  succeeds(run_program(with(a_step, {"--resume"})));
  succeeds(run_program(with(words, {"--resume"}), on_ranks(3)));
  same_run(data().at("parts"), data().at("whole"), "checkpoint-00000006.safetensors");
}

TEST_CASE("a rank that is killed ends all within ten seconds and is named; the run goes on") {
  const auto words = training(transformer(), "killed", json::object(), kLong);
  double killed_at = -1, ended_at = 0;
  auto options = on_ranks(2);
  options.watch = [&](int launcher, double seconds) {
    ended_at = seconds;
    if (killed_at >= 0 || !has_checkpoint("killed", 10)) return;
    kill(process_of_rank(launcher, 1), SIGKILL);
    killed_at = seconds;
  };
  const auto result = run_program(words, options);
  REQUIRE(killed_at >= 0);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK(ended_at - killed_at < 10);
  CHECK_MESSAGE(result.err.find("process rank 1 ") != std::string::npos, result.err);
  CHECK_FALSE(has_checkpoint("killed", kLong));
  succeeds(run_program(with(words, {"--resume"}), on_ranks(4)));
  same_run(data().at("killed"), unhurt(), "checkpoint-00000120.safetensors");
}

TEST_CASE("a rank that hangs, rank 0 too, ends all in time and is named; the run goes on") {
  for (const int hanging : {1, 0}) {
    CAPTURE(hanging);
    const auto out = fmt::format("hung-{}", hanging);
    const auto words = with(training(transformer(), out, json::object(), kLong), {"--rank-timeout", "4"});
    double stopped_at = -1, ended_at = 0;
    auto options = on_ranks(3);
    options.watch = [&](int launcher, double seconds) {
      ended_at = seconds;
      if (stopped_at >= 0 || !has_checkpoint(out, 10)) return;
      kill(process_of_rank(launcher, hanging), SIGSTOP);
      stopped_at = seconds;
    };
    const auto result = run_program(words, options);
    REQUIRE(stopped_at >= 0);
    says(result, 6, fmt::format("rank {} of 3 on ", hanging));
    says(result, 6, " has not answered for 4 s (--rank-timeout)");
    CHECK(ended_at - stopped_at > 3);
    CHECK(ended_at - stopped_at < 10);
    CHECK_FALSE(has_checkpoint(out, kLong));
    succeeds(run_program(with(words, {"--resume"}), on_ranks(2)));
    same_run(data().at(out), unhurt(), "checkpoint-00000120.safetensors");
  }
}

TEST_CASE("a job that is stopped as a whole for longer than a rank may be silent goes on") {
  const auto words = with(training(transformer(), "paused", json::object(), kLong), {"--rank-timeout", "3"});
  double stopped_at = -1;
  std::vector<int> processes;
  auto options = on_ranks(2);
  options.watch = [&](int launcher, double seconds) {
    if (stopped_at < 0 && has_checkpoint("paused", 10)) {
      processes = {process_of_rank(launcher, 0), process_of_rank(launcher, 1)};
      for (const int process : processes) kill(process, SIGSTOP);
      stopped_at = seconds;
    }
    if (stopped_at < 0 || seconds - stopped_at < 6) return;
    for (const int process : processes) kill(process, SIGCONT);
    processes.clear();
  };
  succeeds(run_program(words, options));
  CHECK(stopped_at > 0);
  CHECK(processes.empty());
  same_run(data().at("paused"), unhurt(), "checkpoint-00000120.safetensors");
}

TEST_CASE("SIGUSR1 to the launcher ends a training with a checkpoint") {
  auto options = on_ranks(2);
  bool sent = false;
  options.watch = [&](int launcher, double) {
    if (sent || !has_checkpoint("asked", 10)) return;
    kill(launcher, SIGUSR1);
    sent = true;
  };
  says(run_program(training(transformer(), "asked", json::object(), 100000), options), 128 + SIGUSR1,
       "of 100000 steps; --resume goes on");
}

TEST_CASE("a rank with another configuration, model or file is refused by name before any work") {
  const auto words = training(transformer(), "refused");
  const auto refused = [&](const std::vector<std::string>& other, int exit_code, const std::string& why) {
    CAPTURE(why);
    says(run_program(other, beside_rank_0(words)), exit_code, why);
    CHECK_FALSE(fs::exists(data().at("refused") + "/checkpoints"));
    fs::remove_all(data().at("refused"));
  };
  refused(training(transformer(), "other", {{"learning_rate", 0.5}}), 2, "error: rank 1 on ");
  refused(training(transformer(), "other", {{"learning_rate", 0.5}}), 2,
          "'/settings/train/learning_rate' is 0.5, on rank 0 it is 0.001");
  refused(with(words, {"--resume"}), 2, "'/resume' is true, on rank 0 it is false");
  auto missing = words;
  missing[3] = "missing.json";
  refused(missing, 3, "error: rank 1 of 2 on ");

  // The same words, and a model that is another there.
  succeeds(run_program(training(transformer(), "trained")));
  succeeds(run_program(training(transformer(), "trained-on", json::object(), 7)));
  const auto here = data().at("here"), there = data().at("there");
  for (const auto& folder : {here, there}) fs::create_directories(folder);
  fs::copy(data().at("trained/model"), here + "/start");
  fs::copy(data().at("trained-on/model"), there + "/start");
  const auto from = with(words, {"--init-from", "start"});
  says(run_program(from, beside_rank_0(from, here, there)), 2, "checksum of the first parameters");
  CHECK_FALSE(fs::exists(data().at("refused") + "/checkpoints"));
}

TEST_CASE("what fails on all ranks is said once") {
  says(run_program(training(transformer(), "few", {{"accumulate", 1}}), on_ranks(2)), 2,
       "2 ranks share the micro-batches of a step, and 'train.accumulate' is 1");
  says(run_program({"info"}, on_ranks(2)), 2, "'info' runs in one process, and 2 were started");
  says(run_program({"train", "dvae", "--bathc", "4"}, on_ranks(4)), 2, "--bathc");
}

}  // namespace dalle1::test
