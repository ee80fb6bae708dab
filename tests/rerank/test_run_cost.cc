// What run.json says of cost: all calls together, and what a kill leaves of it.
#include <doctest/doctest.h>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "tests/rerank/fakes.h"
#include "tests/rerank/folder_run.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"

using namespace dalle1;
using namespace dalle1::rerank;
using test::ScratchDir;

namespace {

constexpr int kCandidates = 12, kWave = 3;

// As if the process died while the wave of this number was scored.
struct DyingScorer : test::FakeScorer {
  int waves_left = kCandidates;
  std::vector<double> score(const ScoringInput& input) override {
    check(waves_left-- > 0, ErrorKind::internal, "killed");
    return FakeScorer::score(input);
  }
};

struct Run {
  explicit Run(const std::filesystem::path& folder) {
    options.folder = folder;
    options.draw(kCandidates);
    options.wave = kWave;
    options.existing = Existing::resume;
  }
  void go_on(const ProgressCallback& progress = {}) {
    test::FakeSource source(5);
    test::FakeDecoder decoder;
    test::run_pipeline(source, decoder, scorer, options, progress);
  }
  std::filesystem::path file() const { return options.folder / "run.json"; }
  Json record() const { return Json::parse(test::content_of(file())); }

  test::FolderRun options;
  DyingScorer scorer;
};

double sum_of(const Json& seconds) {
  double sum = 0;
  for (const char* stage : {"prefill", "sample", "decode", "score", "write"})
    sum += seconds[stage].get<double>();
  return sum;
}

const auto after_first_wave = [](const PipelineProgress& progress) {
  return progress.candidates_done < kWave;
};

}  // namespace

TEST_CASE("a resumed run's cost is that of all calls") {
  const ScratchDir scratch;
  Run run(scratch / "out");
  run.go_on(after_first_wave);
  auto first = run.record();
  CHECK(first["status"] == "partial");
  CHECK(first["calls"] == 1);
  CHECK(first["tokens_sampled"] == kWave * test::kFakeCells);
  first["peak_memory_bytes"] = uint64_t{1} << 50;
  first["seconds"]["score"] = 1000.0;
  first["seconds"]["total"] = 2000.0;
  write_file_atomically(run.file(), first.dump());
  run.go_on();
  const auto whole = run.record();
  CHECK(whole["status"] == "done");
  CHECK(whole["calls"] == 2);
  CHECK(whole["candidates_done"] == kCandidates);
  CHECK(whole["tokens_sampled"] == kCandidates * test::kFakeCells);
  CHECK(whole["peak_memory_bytes"] == uint64_t{1} << 50);
  CHECK(whole["seconds"]["score"] > 1000.0);
  CHECK(whole["seconds"]["total"] > 2000.0);
  CHECK(whole["seconds"]["total"].get<double>() - 2000 > sum_of(whole["seconds"]) - sum_of(first["seconds"]));
  CHECK(whole["tokens_per_second"].get<double>() ==
        doctest::Approx(kCandidates * test::kFakeCells / whole["seconds"]["sample"].get<double>()));
}

TEST_CASE("a killed call loses the cost of the wave that it was at") {
  const ScratchDir scratch;
  Run run(scratch / "out");
  run.scorer.waves_left = 2;
  CHECK_THROWS_WITH_AS(run.go_on(), "killed", Error);
  CHECK(run.record()["status"] == "running");
  CHECK(run.record()["calls"] == 1);
  CHECK(run.record()["candidates_done"] == 2 * kWave);
  CHECK(run.record()["tokens_sampled"] == 2 * kWave * test::kFakeCells);
  run.scorer.waves_left = kCandidates;
  run.go_on();  // the third wave has its tokens already
  CHECK(run.record()["calls"] == 2);
  CHECK(run.record()["tokens_sampled"] == (kCandidates - kWave) * test::kFakeCells);
}

TEST_CASE("run.json of version 0.1: its one call counts, and what it lacks is nothing") {
  const ScratchDir scratch;
  Run run(scratch / "out");
  run.go_on(after_first_wave);
  auto record = run.record();
  record.erase("calls");
  write_file_atomically(run.file(), record.dump());
  run.go_on();
  CHECK(run.record()["calls"] == 2);
  CHECK(run.record()["tokens_sampled"] == kCandidates * test::kFakeCells);

  Run killed(scratch / "killed");  // 0.1 wrote no cost before the end
  killed.go_on(after_first_wave);
  record = killed.record();
  for (const char* field : {"calls", "seconds", "tokens_sampled", "tokens_per_second", "peak_memory_bytes"})
    record.erase(field);
  write_file_atomically(killed.file(), record.dump());
  killed.go_on();
  CHECK(killed.record()["calls"] == 1);
  CHECK(killed.record()["tokens_sampled"] == (kCandidates - kWave) * test::kFakeCells);

  record["calls"] = "many";
  write_file_atomically(killed.file(), record.dump());
  CHECK_THROWS_WITH_AS(killed.go_on(), doctest::Contains("run.json: its cost cannot be read"), Error);
}
