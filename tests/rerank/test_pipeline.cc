#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"
#include "core/image/png.h"
#include "core/image/sheet.h"
#include "core/io/atomic_file.h"
#include "tests/rerank/fakes.h"
#include "tests/rerank/folder_run.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::rerank;
using test::FolderRun;
using test::run_pipeline;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

FolderRun options_for(const fs::path& folder, int candidates = 40, int wave = 7) {
  FolderRun options;
  options.folder = folder;
  options.draw(candidates);
  options.info.request.keep = 9;
  options.wave = wave;
  options.info.request.prompt = "ein \xF0\x9F\x90\xB1 test";
  options.info.request.seed = 5;
  options.options = {{"seed", 5}, {"candidates", candidates}};
  return options;
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

// Everything that must not depend on how the run went: pictures, sheet, results.
std::map<std::string, std::string> products(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename() != "run.json")
      files[entry.path().filename().string()] = content(entry.path());
  return files;
}

PipelineResult run(const FolderRun& options, const ProgressCallback& progress = {}) {
  test::FakeSource source(5);
  test::FakeDecoder decoder;
  test::FakeScorer scorer;
  return run_pipeline(source, decoder, scorer, options, progress);
}

Error error_of(const FolderRun& options, int constant_below = 0) {
  test::FakeSource source(5);
  test::FakeDecoder decoder;
  decoder.constant_below = constant_below;
  test::FakeScorer scorer;
  try {
    run_pipeline(source, decoder, scorer, options);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::internal, "nothing was thrown"};
}

// Pictures of which a row is wide enough for the whole title.
struct LargeDecoder : test::FakeDecoder {
  static constexpr int kTimes = 10;
  int picture_size() const override { return kTimes * test::kFakeGrid; }
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override {
    auto pictures = FakeDecoder::decode(tokens, count);
    for (auto& picture : pictures) {
      Image large(picture_size(), picture_size(), 3);
      for (int y = 0; y < large.height; ++y)
        for (int x = 0; x < large.width; ++x)
          std::copy_n(picture.at(x / kTimes, y / kTimes), 3, large.at(x, y));
      picture = std::move(large);
    }
    return pictures;
  }
};

}  // namespace

TEST_CASE("whole waves: a candidate is sampled among the same others in any run") {
  ScratchDir scratch;
  const auto waves_of = [](const FolderRun& options, const ProgressCallback& progress = {}) {
    test::FakeSource source(5);
    test::FakeDecoder decoder;
    test::FakeScorer scorer;
    run_pipeline(source, decoder, scorer, options, progress);
    return source.waves;
  };
  const auto whole = [](int number) {  // of 7
    std::vector<uint32_t> wave(7);
    std::iota(wave.begin(), wave.end(), 7 * number);
    return wave;
  };
  run(options_for(scratch / "as asked"));
  auto options = options_for(scratch / "whole");
  options.whole_waves = true;
  const auto all = waves_of(options);
  REQUIRE(all.size() == 6);
  for (int number = 0; number < 6; ++number) CHECK(all[static_cast<size_t>(number)] == whole(number));
  CHECK(products(scratch / "whole") == products(scratch / "as asked"));

  options = options_for(scratch / "some");
  options.whole_waves = true;
  options.draw_only({3, 17, 18, 30});
  CHECK(waves_of(options) == std::vector{whole(0), whole(2), whole(4)});
  std::set<uint32_t> kept;
  for (const auto& row : read_results(scratch / "some" / "results.jsonl")) kept.insert(row.candidate);
  CHECK(kept == std::set<uint32_t>{3, 17, 18, 30});

  options = options_for(scratch / "cut");
  options.whole_waves = true;
  const auto before = waves_of(options, [](const PipelineProgress& p) { return p.candidates_done < 14; });
  CHECK(before == std::vector{whole(0), whole(1)});
  options.existing = Existing::resume;
  CHECK(waves_of(options) == std::vector{whole(2), whole(3), whole(4), whole(5)});
  CHECK(products(scratch / "cut") == products(scratch / "whole"));
}

TEST_CASE("waves of 1, 7, 32 and all give the same files, and memory follows the wave") {
  ScratchDir scratch;
  run(options_for(scratch / "all", 40, 40));
  const auto expected = products(scratch / "all");
  CHECK(expected.size() == 9 + 2);
  for (const int wave : {1, 7, 32}) {
    const auto folder = scratch / std::to_string(wave);
    test::FakeSource source(5);
    test::FakeDecoder decoder;
    test::FakeScorer scorer;
    run_pipeline(source, decoder, scorer, options_for(folder, 40, wave));
    CHECK(products(folder) == expected);
    CHECK(decoder.most_at_once == wave);
    CHECK(source.prefills == 1);
  }
}

TEST_CASE("results.jsonl has one row per candidate, best first, and the kept files") {
  ScratchDir scratch;
  const auto result = run(options_for(scratch / "out"));
  const auto rows = read_results(scratch / "out" / "results.jsonl");
  REQUIRE(rows.size() == 40);
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i].rank == static_cast<int>(i));
    CHECK(rows[i].tokens.size() == test::kFakeCells);
    CHECK(rows[i].scores.size() == 2);
    CHECK(rows[i].file.empty() == (i >= 9));
    if (i > 0) CHECK(ranks_before(rows[i - 1].standing(), rows[i].standing()));
    if (i < 9) CHECK(fs::exists(scratch / "out" / rows[i].file));
  }
  CHECK(result.best.size() == 9);
  CHECK(fs::exists(scratch / "out" / "grid.png"));
  const auto record = Json::parse(content(scratch / "out" / "run.json"));
  CHECK(record["status"] == "done");
  CHECK(record["options"]["seed"] == 5);
  CHECK(record["seconds"]["total"].get<double>() > 0);
  CHECK(record["peak_memory_bytes"].get<uint64_t>() > 1'000'000);
}

TEST_CASE("a sheet that has no room for all kept pictures says so") {
  ScratchDir scratch;
  test::FakeSource source(5);
  LargeDecoder decoder;
  test::FakeScorer scorer;
  auto options = options_for(scratch / "out", 130, 65);
  options.info.request.keep = 130;
  options.info.request.prompt = "x";
  const auto result = run_pipeline(source, decoder, scorer, options);
  std::vector<SheetCell> cells;
  for (const auto& row : result.best)
    if (cells.size() < 128)
      cells.push_back(
          {read_image(scratch / "out" / row.file), caption_of(row), false, brief_caption_of(row)});
  const auto titled = [&](const std::string& title) {
    SheetOptions sheet;
    sheet.title = title;
    return draw_sheet(cells, sheet).pixels;
  };
  const auto drawn = read_image(scratch / "out" / "grid.png").pixels;
  CHECK(drawn == titled("x   seed 5, best 130 of 130, first 128 shown"));
  CHECK(drawn != titled("x   seed 5, best 130 of 130"));
}

TEST_CASE("pictures carry their metadata, and none without") {
  ScratchDir scratch;
  auto options = options_for(scratch / "with");
  const auto result = run(options);
  const auto texts = read_png_text(scratch / "with" / result.best[0].file);
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].keyword == "parameters");
  CHECK(texts[0].text.rfind("ein \xF0\x9F\x90\xB1 test\nSteps: 16, ", 0) == 0);
  const auto json = Json::parse(texts[1].text);
  CHECK(json["prompt"] == options.info.request.prompt);
  CHECK(json["candidate"] == result.best[0].candidate);
  CHECK(json["partial"] == false);
  options.folder = scratch / "without";
  options.info.request.no_metadata = true;
  run(options);
  for (const auto& [name, bytes] : products(options.folder))
    if (name.ends_with(".png")) CHECK(read_png_text(options.folder / name).empty());
}

TEST_CASE("one candidate alone is the candidate of the whole run") {
  ScratchDir scratch;
  run(options_for(scratch / "all"));
  auto options = options_for(scratch / "one");
  options.draw_only({17});
  run(options);
  const auto one = read_results(scratch / "one" / "results.jsonl").at(0);
  bool found = false;
  for (const auto& row : read_results(scratch / "all" / "results.jsonl")) {
    if (row.candidate != 17) continue;
    found = true;
    CHECK(row.tokens == one.tokens);
    CHECK(row.scores == one.scores);
  }
  CHECK(found);
}

TEST_CASE("a run cancelled at any step keeps its waves, and resumes to the same files") {
  ScratchDir scratch;
  run(options_for(scratch / "whole"));
  const auto expected = products(scratch / "whole");
  int calls = 0;
  run(options_for(scratch / "counted"), [&](const PipelineProgress&) { return ++calls > 0; });
  for (int stop = 1; stop < calls; stop += 3) {
    const auto folder = scratch / ("stop-" + std::to_string(stop));
    auto options = options_for(folder);
    int seen = 0;
    const auto partial = run(options, [&](const PipelineProgress&) { return ++seen < stop; });
    if (partial.partial && partial.candidates_done > 0) {
      CHECK(partial.candidates_done % 7 == 0);
      CHECK(Json::parse(content(folder / "run.json"))["status"] == "partial");
      CHECK(read_results(folder / "results.jsonl").size() == static_cast<size_t>(partial.candidates_done));
    }
    options.existing = Existing::resume;
    options.wave = 5;  // the wave does not change the result
    CHECK_FALSE(run(options).partial);
    CHECK(products(folder) == expected);
  }
}

TEST_CASE("resuming samples nothing twice, scores what was not scored, and clears what a kill left") {
  ScratchDir scratch;
  run(options_for(scratch / "whole"));
  auto options = options_for(scratch / "cut");
  int waves = 0;
  run(options,
      [&](const PipelineProgress& progress) { return progress.candidates_done < 21 || ++waves < 1; });
  // As if the process had died after the tokens of a wave were saved and before its scores were.
  const auto wave = scratch / "cut" / "tokens" / "wave-000014.jsonl";
  auto rows = read_results(wave);
  std::string unscored;
  for (auto& row : rows) row.scores.clear(), unscored += to_line(row) + "\n";
  write_file_atomically(wave, unscored);
  write_file_atomically(scratch / "cut" / ".results.jsonl.a1B2c3", "half a file");
  write_file_atomically(scratch / "cut" / "tokens" / ".wave-000021.jsonl.a1B2c3", "half a file");

  options.existing = Existing::resume;
  test::FakeSource source(5);
  test::FakeDecoder decoder;
  test::FakeScorer scorer;
  run_pipeline(source, decoder, scorer, options);
  CHECK(source.sampled.size() == 40 - 21);
  CHECK(source.sampled.count(14) == 0);
  CHECK(products(scratch / "cut") == products(scratch / "whole"));
  CHECK_FALSE(fs::exists(scratch / "cut" / "tokens" / ".wave-000021.jsonl.a1B2c3"));

  test::FakeSource again(5);
  const auto before = content(scratch / "cut" / "run.json");
  const auto result = run_pipeline(again, decoder, scorer, options);
  CHECK(again.sampled.empty());
  CHECK(result.best.size() == 9);
  CHECK(content(scratch / "cut" / "run.json") == before);
}

TEST_CASE("a run of version 0.1, which named its options as flags, goes on under the names of fields") {
  ScratchDir scratch;
  auto options = options_for(scratch / "out");
  options.options["top_k"] = 5;
  options.options["kv_dtype"] = "bf16";
  int calls = 0;
  CHECK(run(options, [&](const PipelineProgress&) { return ++calls < 3; }).partial);
  auto record = Json::parse(content(scratch / "out" / "run.json"));
  const auto names = record["options"];
  record["options"] = {{"--seed", 5}, {"--candidates", 40}, {"--top-k", 5}, {"--kv-dtype", "bf16"}};
  write_file_atomically(scratch / "out" / "run.json", record.dump());
  CHECK(options_of_run(scratch / "out") == names);

  options.existing = Existing::resume;
  options.options["top_k"] = 6;
  CHECK(std::string(error_of(options).what()).find("top_k was 5 and is 6 now") != std::string::npos);
  options.options["top_k"] = 5;
  CHECK_FALSE(run(options).partial);
  CHECK(Json::parse(content(scratch / "out" / "run.json"))["options"] == names);
  auto whole = options_for(scratch / "whole");
  run(whole);
  CHECK(products(scratch / "out") == products(scratch / "whole"));
}

TEST_CASE("a run whose version did not have an option resumes with the default, and with no other value") {
  ScratchDir scratch;
  auto options = options_for(scratch / "out");
  options.options = GenerationOptions().result_options();
  options.options.erase("top_p");
  run(options);
  options.existing = Existing::resume;
  options.options["top_p"] = GenerationOptions().top_p;
  CHECK_FALSE(run(options).partial);
  options.options["top_p"] = 0.5;
  const auto error = error_of(options);
  CHECK(error.kind() == ErrorKind::usage);
  CHECK(std::string(error.what()).find("top_p was 1.0 and is 0.5 now") != std::string::npos);
}

TEST_CASE("an output folder with files is refused, resumed or overwritten as asked") {
  ScratchDir scratch;
  auto options = options_for(scratch / "out");
  run(options);
  auto error = error_of(options);
  CHECK(error.kind() == ErrorKind::usage);
  CHECK(std::string(error.what()).find("overwrite to start again") != std::string::npos);

  options.existing = Existing::resume;
  options.options["seed"] = 6;
  error = error_of(options);
  CHECK(error.kind() == ErrorKind::usage);
  CHECK(std::string(error.what()).find("seed was 5 in") == std::string::npos);
  CHECK(std::string(error.what()).find("seed was 5 and is 6 now") != std::string::npos);

  write_file_atomically(scratch / "out" / "mine.txt", "keep me");
  options.existing = Existing::overwrite;
  options.draw_only({3, 4});
  run(options);
  CHECK(content(scratch / "out" / "mine.txt") == "keep me");
  CHECK(read_results(scratch / "out" / "results.jsonl").size() == 2);
  CHECK(products(scratch / "out").size() == 2 + 2 + 1);

  // A run that died before its first file leaves a folder for tokens.
  options.folder = scratch / "begun";
  options.existing = Existing::resume;
  fs::create_directories(scratch / "begun" / "tokens");
  write_file_atomically(scratch / "begun" / ".run.json.a1B2c3", "half a file");
  CHECK_FALSE(run(options).partial);

  fs::create_directory(scratch / "other");
  write_file_atomically(scratch / "other" / "mine.txt", "not a run");
  options.folder = scratch / "other";
  options.existing = Existing::resume;
  CHECK(error_of(options).kind() == ErrorKind::usage);
  options.folder = scratch / "out" / "mine.txt";
  CHECK(error_of(options).kind() == ErrorKind::output);
}

TEST_CASE("constant pictures come last; only constant pictures are an error of the model") {
  ScratchDir scratch;
  test::FakeSource source(5);
  test::FakeDecoder decoder;
  decoder.constant_below = 50;
  test::FakeScorer scorer;
  run_pipeline(source, decoder, scorer, options_for(scratch / "some"));
  const auto rows = read_results(scratch / "some" / "results.jsonl");
  CHECK_FALSE(rows.front().constant);
  CHECK(rows.back().constant);
  for (size_t i = 1; i < rows.size(); ++i) CHECK(rows[i - 1].constant <= rows[i].constant);

  const auto error = error_of(options_for(scratch / "none"), 1000);
  CHECK(error.kind() == ErrorKind::model);
  CHECK_FALSE(fs::exists(scratch / "none" / "grid.png"));
  CHECK_FALSE(fs::exists(scratch / "none" / "results.jsonl"));
}

TEST_CASE("progress counts tokens and candidates and ends complete") {
  ScratchDir scratch;
  PipelineProgress last;
  int64_t tokens = 0;
  run(options_for(scratch / "out"), [&](const PipelineProgress& progress) {
    CHECK(progress.tokens_done >= tokens);
    CHECK(progress.candidates_done >= last.candidates_done);
    tokens = progress.tokens_done;
    last = progress;
    return true;
  });
  CHECK(last.tokens_done == 40 * test::kFakeCells);
  CHECK(last.candidates_done == 40);
  CHECK(last.stage == Stage::write);
  CHECK(last.best_score.value() == 4);
}
