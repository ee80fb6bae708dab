// Candidates ranked in two steps: by their tokens all of them, by their pictures the best.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "rerank/generation_options.h"
#include "tests/rerank/fakes.h"
#include "tests/rerank/folder_run.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"

using namespace dalle1;
using namespace dalle1::rerank;
using test::products_of;
using test::ScratchDir;

namespace {

constexpr int kCandidates = 40;

// Reads tokens alone, and has ties.
struct FakeJudge : Scorer {
  std::vector<std::string> columns() const override { return {"judge"}; }
  bool reads_pictures() const override { return false; }
  std::vector<double> score(const ScoringInput& input) override {
    CHECK(input.pictures.empty());
    std::vector<double> scores;
    for (size_t i = 0; i < input.wave.size(); ++i) scores.push_back(input.wave.tokens_of(i)[3] % 13);
    judged += static_cast<int>(input.wave.size());
    return scores;
  }
  int judged = 0;
};

struct CountingDecoder : test::FakeDecoder {
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override {
    decoded += count;
    return FakeDecoder::decode(tokens, count);
  }
  int decoded = 0;
};

struct PrunedRun : test::FolderRun {
  std::shared_ptr<FakeJudge> judge = std::make_shared<FakeJudge>();
  CountingDecoder decoder;

  PrunedRun(const std::filesystem::path& where, int prune, int wave_size = 7) {
    folder = where;
    draw(kCandidates);
    wave = wave_size;
    info.request.keep = 6;
    info.request.prompt = "x";
    info.request.seed = 5;
    info.request.prune = prune;
    options = {{"prune", prune}};
    if (prune > 0) judge_of_tokens = judge;
  }

  PipelineResult run(const ProgressCallback& progress = {}) {
    test::FakeSource source(5);
    test::FakeScorer scorer;
    return test::run_pipeline(source, decoder, scorer, *this, progress);
  }
};

std::vector<ResultRow> rows_in(const std::filesystem::path& folder) {
  return read_results(folder / "results.jsonl");
}

std::string refusal_of(const GenerationOptions& options) {
  try {
    validate(options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("pruning to all candidates changes no file") {
  ScratchDir scratch;
  PrunedRun whole(scratch / "whole", 0);
  whole.run();
  for (const int prune : {kCandidates, 3 * kCandidates}) {
    const auto folder = scratch / std::to_string(prune);
    PrunedRun pruned(folder, prune);
    CHECK_FALSE(pruned.run().partial);
    CHECK(pruned.decoder.decoded == kCandidates);
    CHECK(pruned.judge->judged == kCandidates);
    CHECK(products_of(folder) == products_of(scratch / "whole"));
  }
}

TEST_CASE("only the best by their tokens are decoded, and rank before all others") {
  ScratchDir scratch;
  PrunedRun whole(scratch / "whole", 0);
  whole.run();
  std::map<uint32_t, ResultRow> unpruned;
  std::vector<Standing> by_tokens;
  for (const auto& row : rows_in(scratch / "whole")) {
    unpruned[row.candidate] = row;
    by_tokens.push_back({static_cast<double>(row.tokens[3] % 13), row.candidate});
  }
  std::sort(by_tokens.begin(), by_tokens.end(), ranks_before);

  constexpr size_t kPrune = 11;
  PrunedRun pruned(scratch / "pruned", kPrune);
  const auto result = pruned.run();
  CHECK(pruned.decoder.decoded == kPrune);
  CHECK(pruned.decoder.most_at_once == pruned.wave);
  CHECK(result.candidates_done == kCandidates);
  const auto rows = rows_in(scratch / "pruned");
  REQUIRE(rows.size() == kCandidates);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    CHECK(row.rank == static_cast<int>(i));
    CHECK(row.pruned == (i >= kPrune));
    CHECK(row.file.empty() == (i >= 6));
    CHECK(row.tokens == unpruned.at(row.candidate).tokens);
    if (i > 0) CHECK(ranks_before(rows[i - 1].standing(), row.standing()));
    const bool among_best =
        std::any_of(by_tokens.begin(), by_tokens.begin() + kPrune,
                    [&](const Standing& standing) { return standing.candidate == row.candidate; });
    CHECK(row.pruned != among_best);
    if (row.pruned)
      CHECK(row.scores == decltype(row.scores){{"judge", row.tokens[3] % 13}});
    else
      CHECK(row.scores == unpruned.at(row.candidate).scores);
  }

  for (const int wave : {1, 5, kCandidates}) {
    const auto folder = scratch / ("wave-" + std::to_string(wave));
    PrunedRun(folder, kPrune, wave).run();
    CHECK(products_of(folder) == products_of(scratch / "pruned"));
  }
}

TEST_CASE("a pruned run that is cancelled at any step resumes to the same files and samples nothing twice") {
  ScratchDir scratch;
  PrunedRun whole(scratch / "whole", 17);
  int calls = 0;
  whole.run([&](const PipelineProgress&) { return ++calls > 0; });
  const auto expected = products_of(scratch / "whole");
  int ranked_partly = 0, unseen = 0;
  for (int stop = 1; stop < calls; ++stop) {
    const auto folder = scratch / ("stop-" + std::to_string(stop));
    PrunedRun cut(folder, 17);
    int seen = 0;
    const auto partial = cut.run([&](const PipelineProgress&) { return ++seen < stop; });
    if (partial.partial && partial.candidates_done > 0) {
      ++ranked_partly;
      unseen += partial.candidates_done == kCandidates;
      CHECK(partial.best.size() == 6);
      for (const auto& row : partial.best) CHECK(std::filesystem::exists(folder / row.file));
      CHECK(cut.decoder.decoded <= 14);
    }
    PrunedRun again(folder, 17, 9);
    again.existing = Existing::resume;
    CHECK_FALSE(again.run().partial);
    CHECK(cut.judge->judged + again.judge->judged == kCandidates);
    CHECK(products_of(folder) == expected);
  }
  CHECK(ranked_partly > 0);
  CHECK(unseen > 0);  // cancelled while the best were looked at
}

TEST_CASE("of the pictures that were looked at those of one colour come last, and all of them are an error") {
  ScratchDir scratch;
  PrunedRun some(scratch / "some", 20);
  some.decoder.constant_below = 50;
  some.run();
  const auto rows = rows_in(scratch / "some");
  CHECK_FALSE(rows.front().constant);
  CHECK(rows[19].constant);
  for (size_t i = 1; i < rows.size(); ++i) {
    CHECK(rows[i - 1].pruned <= rows[i].pruned);
    if (!rows[i].pruned) CHECK(rows[i - 1].constant <= rows[i].constant);
  }
  PrunedRun none(scratch / "none", 20);
  none.decoder.constant_below = 1000;
  CHECK_THROWS_WITH_AS(none.run(), doctest::Contains("all 20 pictures have a single colour"), Error);
  CHECK_FALSE(std::filesystem::exists(scratch / "none" / "results.jsonl"));
}

TEST_CASE("pruning needs a judge that reads tokens and no fewer pictures than are kept") {
  GenerationOptions options;
  options.prune = 32;
  CHECK(refusal_of(options).find("prune needs a scorer that reads tokens, and scorer clip does not") == 0);
  for (const char* scorer : {"caption", "clip=1,caption-ratio=0.5", "likelihood", "clip=1,likelihood=0.1"}) {
    options.scorer = scorer;
    CHECK(refusal_of(options).empty());
  }
  options.prune = 31;
  CHECK(refusal_of(options) == "prune 31 leaves fewer pictures than keep 32 asks for");
}
