// dalle1 sample from end to end, with a random model of the paper's schedule.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::content_of;
using test::products_of;
using test::ProgramResult;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

const char* const kPrompt = "a red circle above a blue square";

std::vector<std::string> sample_arguments(const fs::path& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"sample",   "--model",   test::tiny_model().string(),
                                        "--prompt", kPrompt,     "--candidates",
                                        "9",        "--keep",    "4",
                                        "--out",    out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

ProgramResult sample(const fs::path& out, std::vector<std::string> more = {}) {
  return run_program(sample_arguments(out, std::move(more)));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("sample draws, ranks and records") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  const auto result = sample(out);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out == (out / "grid.png").string() + "\n");
  CHECK(contains(result.err, "device: cpu"));
  CHECK(contains(result.err, "estimate: "));
  const auto rows = rerank::read_results(out / "results.jsonl");
  REQUIRE(rows.size() == 9);
  for (size_t i = 0; i < 4; ++i) {
    const auto picture = read_image(out / rows[i].file);
    CHECK(picture.width == 64);
    CHECK(rows[i].tokens.size() == 64);
    CHECK(rows[i].scores.size() == 2);
    CHECK(rows[i].log_likelihood < 0);
  }
  CHECK(products_of(out).size() == 4 + 2);
  const auto run = nlohmann::json::parse(content_of(out / "run.json"));
  CHECK(run["status"] == "done");
  CHECK(run["model"]["transformer_sha256"].get<std::string>().size() == 64);
  CHECK(run["tokens_sampled"] == 9 * 64);
  CHECK(contains(run["command"].get<std::string>(), "--prompt 'a red circle above a blue square'"));

  const auto inspected = run_program({"inspect", (out / rows[0].file).string(), "--json"});
  const auto metadata = nlohmann::json::parse(inspected.out);
  CHECK(metadata["dalle1"]["prompt"] == kPrompt);
  CHECK(metadata["dalle1"]["candidate"] == rows[0].candidate);
  CHECK(contains(metadata["parameters"].get<std::string>(), "Seed: 0, Size: 64x64"));
  const auto sheet = scratch / "sheet.png";
  CHECK(run_program({"grid", (out / "results.jsonl").string(), "--out", sheet.string()}).exit_code == 0);
  CHECK(read_image(sheet).width > 128);
}

TEST_CASE("the wave and the number of threads change nothing; one candidate alone is the same picture") {
  ScratchDir scratch;
  REQUIRE(sample(scratch / "all", {"--threads", "1"}).exit_code == 0);
  const auto expected = products_of(scratch / "all");
  for (const auto& [batch, threads] : {std::pair{"1", "2"}, {"7", "1"}, {"4", "2"}}) {
    const auto out = scratch / (std::string("wave-") + batch);
    REQUIRE(sample(out, {"--batch", batch, "--threads", threads}).exit_code == 0);
    CHECK(products_of(out) == expected);
  }
  REQUIRE(sample(scratch / "one", {"--only", "7"}).exit_code == 0);
  const auto one = rerank::read_results(scratch / "one" / "results.jsonl").at(0);
  for (const auto& row : rerank::read_results(scratch / "all" / "results.jsonl")) {
    if (row.candidate != 7) continue;
    CHECK(row.tokens == one.tokens);
    CHECK(row.scores == one.scores);
    CHECK(row.log_likelihood == one.log_likelihood);
    if (!row.file.empty())
      CHECK(read_image(scratch / "all" / row.file).pixels == read_image(scratch / "one" / one.file).pixels);
  }
}

TEST_CASE("no metadata means none; a dry run writes nothing; JSON is one document") {
  ScratchDir scratch;
  REQUIRE(sample(scratch / "bare", {"--no-metadata"}).exit_code == 0);
  for (const auto& [name, bytes] : products_of(scratch / "bare"))
    if (name.ends_with(".png")) CHECK(read_png_text(scratch / "bare" / name).empty());

  const auto plan = sample(scratch / "dry", {"--dry-run", "--json", "--quiet"});
  CHECK(plan.exit_code == 0);
  CHECK(plan.err.empty());
  CHECK(nlohmann::json::parse(plan.out)["memory_bytes"]["total"].get<double>() > 1e6);
  CHECK_FALSE(fs::exists(scratch / "dry"));

  const auto json = sample(scratch / "json", {"--json", "--progress", "json"});
  const auto document = nlohmann::json::parse(json.out);
  CHECK(document["runs"][0]["best"].size() == 4);
  CHECK(contains(json.err, "{\"event\":\"progress\""));
}

TEST_CASE(
    "waves and threads change nothing among forty candidates either, and the order is that of the scores") {
  ScratchDir scratch;
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"sample",   "--model", test::shallow_model().string(),
                                          "--prompt", kPrompt,   "--candidates",
                                          "40",       "--keep",  "40",
                                          "--quiet",  "--out",   (scratch / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  };
  draw("all", {});
  const auto expected = products_of(scratch / "all");
  for (const std::string batch : {"1", "7", "32"})
    for (const std::string threads : {"1", "2"}) {
      const auto name = batch + "-" + threads;
      draw(name, {"--batch", batch, "--threads", threads});
      CHECK_MESSAGE(products_of(scratch / name) == expected, name);
    }

  const auto rows = rerank::read_results(scratch / "all" / "results.jsonl");
  REQUIRE(rows.size() == 40);
  auto sorted = rows;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.candidate < b.candidate; });
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.constant, -a.scores.front().second) < std::pair(b.constant, -b.scores.front().second);
  });
  for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].candidate == sorted[i].candidate);

  draw("one", {"--only", "37"});
  const auto one = rerank::read_results(scratch / "one" / "results.jsonl").at(0);
  const auto same =
      std::find_if(rows.begin(), rows.end(), [](const auto& row) { return row.candidate == 37; });
  REQUIRE(same != rows.end());
  CHECK(one.tokens == same->tokens);
  CHECK(one.scores == same->scores);
  CHECK(read_image(scratch / "one" / one.file).pixels == read_image(scratch / "all" / same->file).pixels);
}

TEST_CASE("a folder whose name is not UTF-8 is a folder like any other") {
  ScratchDir scratch;
  const auto out = scratch / "caf\xe9";
  const auto draw = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"sample",   "--model", test::shallow_model().string(),
                                          "--prompt", "a cat",   "--candidates",
                                          "2",        "--out",   out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  const auto result = draw({"--json", "--progress", "json"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(contains(nlohmann::json::parse(result.out)["runs"][0]["folder"].get<std::string>(), "caf\uFFFD"));
  CHECK(contains(nlohmann::json::parse(content_of(out / "run.json"))["command"].get<std::string>(), "caf"));
  CHECK(draw({"--resume"}).exit_code == 0);
  const auto sheet = (scratch / "sheet\xe9.png").string();
  CHECK(run_program({"grid", (out / "results.jsonl").string(), "--out", sheet, "--json"}).exit_code == 0);
  const auto model = scratch / "mod\xe9";
  fs::create_directory_symlink(test::shallow_model(), model);
  const auto info = run_program({"info", model.string(), "--json"});
  REQUIRE_MESSAGE(info.exit_code == 0, info.err);
  CHECK(contains(nlohmann::json::parse(info.out).dump(), "mod\uFFFD"));
}

TEST_CASE("the estimate counts the pass of the empty prompt that the ratio takes") {
  const auto scoring = [](const std::string& scorer) {
    const auto plan = sample("unused", {"--dry-run", "--json", "--quiet", "--scorer", scorer});
    return nlohmann::json::parse(plan.out)["seconds"]["score"].get<double>();
  };
  CHECK(scoring("likelihood") == 0);
  CHECK(scoring("likelihood-ratio") > 0);
}

TEST_CASE("scorers: likelihood, its ratio to the empty prompt, sums, guidance") {
  ScratchDir scratch;
  REQUIRE(sample(scratch / "a", {"--scorer", "likelihood"}).exit_code == 0);
  const auto rows = rerank::read_results(scratch / "a" / "results.jsonl");
  CHECK(rows[0].scores[0].first == "likelihood");
  CHECK(rows[0].scores[0].second == doctest::Approx(rows[0].log_likelihood / 64));
  for (size_t i = 1; i < rows.size(); ++i) CHECK(rows[i - 1].scores[0].second >= rows[i].scores[0].second);

  // Where the prompt is the empty one, the ratio is nothing but rounding.
  const auto empty = run_program({"sample", "--model", test::tiny_model().string(), "--prompt", "",
                                  "--candidates", "2", "--scorer", "clip=1,likelihood-ratio=2", "--guidance",
                                  "1.5", "--negative", "a cat", "--out", (scratch / "b").string()});
  REQUIRE_MESSAGE(empty.exit_code == 0, empty.err);
  for (const auto& row : rerank::read_results(scratch / "b" / "results.jsonl")) {
    CHECK(row.scores.size() == 5);
    CHECK(row.scores[0].first == "sum");
    for (const auto& [name, value] : row.scores)
      if (name == "likelihood-ratio") CHECK(std::abs(value) < 1e-4);
  }
}

namespace {

// The shallow model with advice of its own.
struct AdvisingModel {
  ScratchDir scratch;
  fs::path folder = scratch / "model";

  AdvisingModel() { fs::copy(test::shallow_model(), folder); }

  void advise(const nlohmann::json& advice) const {
    auto document = nlohmann::json::parse(content_of(folder / "model.json"));
    document["sampling"] = advice;
    write_file_atomically(folder / "model.json", document.dump());
  }
  test::ProgramResult draw(const char* out, const std::string& candidates,
                           const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"sample",   "--model", folder.string(),
                                          "--prompt", kPrompt,   "--candidates",
                                          candidates, "--out",   (scratch / out).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
};

}  // namespace

TEST_CASE("the model's advice holds where the user does not say") {
  const AdvisingModel model;
  const ScratchDir& scratch = model.scratch;
  const auto run = [&](const char* out, const std::vector<std::string>& more) {
    return model.draw(out, "2", more);
  };
  model.advise({{"guidance", 2}, {"temperature", 0.75}, {"top_k", 5}});
  const auto advised = run("advised", {});
  REQUIRE_MESSAGE(advised.exit_code == 0, advised.err);
  CHECK(contains(advised.err, "as the model advises: --guidance 2 --temperature 0.75 --top-k 5"));
  REQUIRE(run("said", {"--guidance", "2", "--temperature", "0.75", "--top-k", "5"}).exit_code == 0);
  CHECK(products_of(scratch / "said") == products_of(scratch / "advised"));
  REQUIRE(run("own", {"--guidance", "1", "--top-k", "0"}).exit_code == 0);
  const auto options = nlohmann::json::parse(content_of(scratch / "own" / "run.json"))["options"];
  CHECK(options["guidance"] == 1.0);
  CHECK(options["top_k"] == 0);
  CHECK(options["temperature"] == 0.75);

  const auto copy = scratch / "copy";
  REQUIRE(run_program({"convert", model.folder.string(), "--out", copy.string()}).exit_code == 0);
  CHECK(nlohmann::json::parse(content_of(copy / "model.json"))["sampling"]["top_k"] == 5);

  for (const auto& bad :
       {nlohmann::json{{"guidance", 101}}, {{"warmth", 1}}, {{"top_p", "all"}}, {{"top_p", 0}}}) {
    model.advise(bad);
    const auto refused = run("bad", {});
    CHECK(refused.exit_code == 4);
    CHECK(contains(refused.err, "model.json: "));
    CHECK(contains(refused.err, "'sampling."));
    CHECK_FALSE(fs::exists(scratch / "bad"));
  }
}

TEST_CASE("a model may advise its scorer and how many pictures are decoded") {
  const AdvisingModel model;
  const ScratchDir& scratch = model.scratch;
  const auto run = [&](const char* out, const std::vector<std::string>& more) {
    return model.draw(out, "6", more);
  };
  const auto options_of = [&](const char* out) {
    return nlohmann::json::parse(content_of(scratch / out / "run.json"))["options"];
  };
  model.advise({{"scorer", "likelihood"}, {"prune", 3}});
  const auto advised = run("advised", {"--keep", "2"});
  REQUIRE_MESSAGE(advised.exit_code == 0, advised.err);
  CHECK(contains(advised.err, "as the model advises: --prune 3 --scorer likelihood"));
  REQUIRE(run("said", {"--keep", "2", "--scorer", "likelihood", "--prune", "3"}).exit_code == 0);
  CHECK(products_of(scratch / "said") == products_of(scratch / "advised"));
  REQUIRE(run("many", {"--keep", "5"}).exit_code == 0);
  CHECK(options_of("many")["prune"] == 5);
  // What is pruned goes with the scorer.
  REQUIRE(run("own", {"--keep", "2", "--scorer", "clip"}).exit_code == 0);
  CHECK(options_of("own")["scorer"] == "clip");
  CHECK(options_of("own")["prune"] == 0);
  const auto dvae = (test::shallow_model() / "dvae.safetensors").string();
  REQUIRE(run("other", {"--keep", "2", "--dvae", dvae}).exit_code == 0);
  CHECK(options_of("other")["scorer"] == "clip");
  const auto again =
      run_program({"rank", (scratch / "advised/results.jsonl").string(), "--model", model.folder.string()});
  REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  CHECK(contains(again.out, "likelihood"));

  for (const auto& bad : {nlohmann::json{{"scorer", "beauty"}}, {{"scorer", 1}}, {{"prune", -1}}}) {
    model.advise(bad);
    const auto refused = run("bad", {});
    CAPTURE(refused.err);
    CHECK(refused.exit_code == 4);
    CHECK(contains(refused.err, "model.json: "));
  }
}

TEST_CASE("rank scores a finished run again from its tokens") {
  ScratchDir scratch;
  REQUIRE(sample(scratch / "out").exit_code == 0);
  const auto rank = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"rank", (scratch / "out/results.jsonl").string(), "--model",
                                          test::tiny_model().string(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return nlohmann::json::parse(result.out)["results"];
  };
  const auto rows = rerank::read_results(scratch / "out" / "results.jsonl");
  const auto again = rank({}), likely = rank({"--scorer", "likelihood"});
  REQUIRE(again.size() == rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(again[i]["candidate"] == rows[i].candidate);
    CHECK(again[i]["scores"]["clip"].get<double>() == rows[i].scores[0].second);
    for (const auto& entry : likely)
      if (entry["candidate"] == rows[i].candidate)
        CHECK(entry["scores"]["likelihood"].get<double>() ==
              doctest::Approx(rows[i].log_likelihood / 64).epsilon(1e-5));
  }
}

TEST_CASE("many prompts: one folder each, the bad ones are named and skipped") {
  ScratchDir scratch;
  write_file_atomically(scratch / "prompts.jsonl",
                        "{\"prompt\": \"a red cat\"}\n" + std::string(300, 'q') + "\na blue house\n");
  const auto result = run_program({"sample", "--model", test::tiny_model().string(), "--prompts",
                                   (scratch / "prompts.jsonl").string(), "--candidates", "2", "--out",
                                   (scratch / "out").string()});
  CHECK(result.exit_code == 7);
  CHECK(contains(result.error_line(), "1 of 3 prompts"));
  CHECK(fs::exists(scratch / "out/prompt-0000/grid.png"));
  CHECK_FALSE(fs::exists(scratch / "out/prompt-0001"));
  CHECK(fs::exists(scratch / "out/prompt-0002/grid.png"));
}

TEST_CASE("broken models are an error and leave no picture") {
  ScratchDir scratch;
  test::TinyModel broken, blank, blind;
  broken.layers = blank.layers = blind.layers = 4;
  broken.broken = true;
  blank.blank = true;
  blind.clip = false;
  test::write_tiny_model(scratch / "broken", broken);
  test::write_tiny_model(scratch / "blank", blank);
  test::write_tiny_model(scratch / "blind", blind);
  const auto draw = [&](const std::string& model, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"sample",   "--model", (scratch / model).string(),
                                          "--prompt", "a cat",   "--candidates",
                                          "3",        "--out",   (scratch / ("out-" + model)).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  auto result = draw("broken");
  CHECK(result.exit_code == 4);
  CHECK_MESSAGE(contains(result.error_line(), "not finite"), result.err);
  CHECK_FALSE(fs::exists(scratch / "out-broken/grid.png"));
  result = draw("blank");
  CHECK(result.exit_code == 4);
  CHECK_MESSAGE(contains(result.error_line(), "single colour"), result.err);
  CHECK_FALSE(fs::exists(scratch / "out-blank/grid.png"));
  result = draw("blind");
  CHECK(result.exit_code == 4);
  CHECK_MESSAGE(contains(result.error_line(), "--scorer likelihood"), result.err);
  CHECK(draw("blind", {"--scorer", "likelihood"}).exit_code == 0);
  // The tokens are those of any model; what the dVAE makes of them decides.
  result = run_program({"rank", (scratch / "out-blind/results.jsonl").string(), "--model",
                        (scratch / "blank").string(), "--prompt", "a cat"});
  CHECK(result.exit_code == 4);
  CHECK_MESSAGE(contains(result.error_line(), "one colour"), result.err);
}

TEST_CASE("what cannot fit is refused at once, and what cannot be written is said") {
  ScratchDir scratch;
  double seconds = 0;
  auto arguments = sample_arguments(scratch / "out", {"--batch", "1000000"});
  arguments[6] = "1000000";
  const auto result = run_program(
      arguments, {.environment = {}, .directory = {}, .standard_output = {}, .watch = [&](int, double now) {
                    seconds = now;
                  }});
  CHECK(result.exit_code == 5);
  CHECK(contains(result.error_line(), "GiB"));
  CHECK_FALSE(fs::exists(scratch / "out"));
  MESSAGE("refused after " << seconds << " s");

  write_file_atomically(scratch / "file", "not a folder");
  CHECK(sample(scratch / "file").exit_code == 8);
  CHECK(sample(scratch / "file" / "below").exit_code == 8);
  CHECK(sample("/proc/dalle1").exit_code == 8);
}

TEST_CASE("a used folder is refused, resumed with the same options only, or overwritten") {
  ScratchDir scratch;
  const auto out = scratch / "out";
  REQUIRE(sample(out).exit_code == 0);
  const auto before = products_of(out);
  const auto used = sample(out);
  CHECK(used.exit_code == 2);
  CHECK_MESSAGE(
      contains(used.error_line(), "use --resume to go on, --overwrite to start again, or another --out"),
      used.err);
  CHECK(sample(out, {"--resume"}).exit_code == 0);
  const auto narrower = sample(out, {"--resume", "--top-k", "3"});
  CHECK_MESSAGE(contains(narrower.error_line(), "--top-k was 0 and is 3 now"), narrower.err);
  CHECK_MESSAGE(contains(narrower.error_line(), "with the same value or use --overwrite"), narrower.err);
  const auto other = sample(out, {"--resume", "--temperature", "0.5"});
  CHECK(other.exit_code == 2);
  CHECK_MESSAGE(contains(other.error_line(), "--temperature was 1.0 and is 0.5 now"), other.err);
  CHECK(products_of(out) == before);
  CHECK(sample(out, {"--overwrite", "--seed", "9"}).exit_code == 0);
  CHECK(products_of(out) != before);
}
