// dalle1 ablate from end to end: a study of seconds on made-up shards.
#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>

#include "core/data/npy.h"
#include "core/data/token_shard.h"
#include "core/image/png.h"
#include "core/train/metrics.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/study.h"
#include "transformer/decoder.h"
#include "transformer/estimate.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json tiny_study() {
  return {{"base",
           {{"layers", 2},
            {"width", 64},
            {"heads", 2},
            {"text_length", 8},
            {"text_vocab", 96},
            {"grid", 4},
            {"image_vocab", 32}}},
          {"train",
           {{"steps", 6},
            {"batch", 4},
            {"learning_rate", {{"warmup", 2}}},
            {"ema_decay", 0.9},
            {"text_slots", 6},
            {"full_text_from", 1.0},
            {"validation", 4},
            {"log_every", 1},
            {"evaluate_every", 2},
            {"checkpoint_every", 2}}},
          {"variants",
           json::array({{{"name", "rows"}, {"schedule", "row"}},
                        {{"name", "rows again"}, {"schedule", json::array({"row", "row"})}},
                        {{"name", "control"}, {"schedule", json::array({"random:1:row", "random:2:row"})}}})},
          {"base_variant", "rows"},
          {"seeds", {1, 2}},
          {"learning_rates", {0.002}},
          {"samples", {{"prompts", {"a red square"}}, {"candidates", 2}}}};
}

struct Setting {
  Setting() {
    TokenShardWriter writer(scratch / "pairs.tokens", {4, 32, "dvae", ""});
    for (int i = 0; i < 24; ++i) {
      std::vector<int32_t> tokens;
      for (int cell = 0; cell < 16; ++cell) tokens.push_back((i * 5 + cell * (i % 3 + 1)) % 32);
      writer.add(tokens, i % 2 ? "a red square" : "a blue cat");
    }
    writer.finish();
  }
  fs::path write(const json& study) const {
    write_file_atomically(scratch / "study.json", study.dump());
    return scratch / "study.json";
  }
  std::vector<std::string> command(const json& study, const std::string& out, bool with_dvae = false) const {
    std::vector<std::string> words = {"ablate",
                                      "--study",
                                      write(study).string(),
                                      "--data",
                                      (scratch / "pairs.tokens").string(),
                                      "--tokenizer",
                                      (tiny_model() / "text.model").string(),
                                      "--out",
                                      (scratch / out).string(),
                                      "--resume",
                                      "--device",
                                      "cpu",
                                      "--threads",
                                      "1"};
    if (with_dvae) words.insert(words.end(), {"--dvae", (tiny_model() / "dvae.safetensors").string()});
    return words;
  }
  ScratchDir scratch;
};

// Rows without what depends on the clock.
std::vector<json> curve(const fs::path& run) {
  auto rows = read_metrics(run / "metrics.jsonl");
  for (json& row : rows) row.erase("seconds_per_step");
  return rows;
}

TEST_CASE("identical variants have identical curves, and a stopped study goes on to the same end") {
  const Setting setting;
  const auto whole = run_program(setting.command(tiny_study(), "whole", /*with_dvae=*/true));
  REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  const fs::path runs = setting.scratch / "whole" / "runs";
  const auto rows = curve(runs / "rows-lr0.002-1");
  CHECK(rows.size() == 6);
  CHECK(rows == curve(runs / "rows-again-lr0.002-1"));
  CHECK(rows != curve(runs / "control-lr0.002-1"));
  CHECK(rows != curve(runs / "rows-lr0.002-2"));

  // Stopped in the middle of a run: a checkpoint, no result.
  ProgramOptions options;
  bool stopped = false;
  options.watch = [&](int process, double) {
    const auto seen =
        read_metrics(setting.scratch / "halves" / "runs" / "rows-again-lr0.002-1" / "metrics.jsonl");
    if (!stopped && seen.size() >= 1) stopped = kill(process, SIGTERM) == 0;
  };
  const auto first = run_program(setting.command(tiny_study(), "halves"), options);
  CHECK(first.exit_code == 128 + SIGTERM);
  CHECK(fs::exists(setting.scratch / "halves" / "runs" / "rows-lr0.002-1" / "result.json"));
  CHECK_FALSE(fs::exists(setting.scratch / "halves" / "report.html"));
  const auto kept =
      fs::last_write_time(setting.scratch / "halves" / "runs" / "rows-lr0.002-1" / "result.json");
  REQUIRE(run_program(setting.command(tiny_study(), "halves")).exit_code == 0);
  CHECK(kept == fs::last_write_time(setting.scratch / "halves" / "runs" / "rows-lr0.002-1" / "result.json"));
  for (const auto& run : fs::directory_iterator(runs)) {
    CAPTURE(run.path().filename().string());
    const fs::path other = setting.scratch / "halves" / "runs" / run.path().filename();
    CHECK(curve(run.path()) == curve(other));
    CHECK(json::parse(content_of(run.path() / "result.json"))["samples"] ==
          json::parse(content_of(other / "result.json"))["samples"]);
  }
  json other_study = tiny_study();
  // A finished run of another study is not taken for this one's.
  other_study["train"]["batch"] = 3;
  CHECK(run_program(setting.command(other_study, "halves")).exit_code == 2);

  const std::string page = content_of(setting.scratch / "whole" / "report.html");
  CHECK(page.find("://") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("class=\"sample\"") != std::string::npos);
  CHECK(page.find("not larger than the seeds' spread") != std::string::npos);
  CHECK(page.find("too small to claim anything") != std::string::npos);
  const std::string table = content_of(setting.scratch / "whole" / "summary.csv");
  CHECK(std::count(table.begin(), table.end(), '\n') == 7);
}

TEST_CASE("a bad study is refused in one line before any training") {
  const Setting setting;
  const int32_t length = 8 + 16;
  std::vector<uint8_t> bits(length * length, 1);  // sees the future
  write_npy(setting.scratch / "future.npy", {length, length}, bits);
  const auto refused = [&](const std::string& words, const auto& change) {
    CAPTURE(words);
    json study = tiny_study();
    change(study);
    const auto result = run_program(setting.command(study, "refused"));
    CHECK(result.exit_code == 3);
    CHECK_MESSAGE(result.error_line().find(words) != std::string::npos, result.err);
    CHECK_FALSE(fs::exists(setting.scratch / "refused"));
  };
  refused("in its future", [](json& s) { s["variants"][1]["schedule"] = "table:future.npy"; });
  refused("nowhere.png", [](json& s) { s["variants"][1]["schedule"] = "table:nowhere.png"; });
  refused("'spiral' is not known", [](json& s) { s["variants"][1]["schedule"] = "spiral"; });
  refused("must be positive", [](json& s) { s["train"]["steps"] = 0; });
  refused("two variants are named 'rows'", [](json& s) { s["variants"][1]["name"] = "rows"; });
  refused("base_variant 'x'", [](json& s) { s["base_variant"] = "x"; });
  refused("'seeds' has a value twice", [](json& s) { s["seeds"] = {1, 1}; });
  refused("grids of 4", [](json& s) { s["base"]["grid"] = 5; });
  refused("'train.seed'", [](json& s) { s["train"]["seed"] = 1; });
  refused("colour", [](json& s) { s["colour"] = 1; });
  auto missing = setting.command(tiny_study(), "refused");
  missing[2] = "no such study.json";
  CHECK(run_program(missing).exit_code == 3);
}

TEST_CASE("the shipped studies are valid, and their eight variants are drawn in one sheet") {
  const ScratchDir scratch;
  for (const char* name : {"masks.json", "masks_small.json"}) {
    const fs::path path = fs::path(DALLE1_SOURCE_DIR) / "tools" / "studies" / name;
    CHECK(tools::read_study(path).variants.size() == 8);
  }
  const auto result = run_program({"masks", "--study",
                                   (fs::path(DALLE1_SOURCE_DIR) / "tools/studies/masks_small.json").string(),
                                   "--out", (scratch / "sheet.png").string(), "--json"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const json variants = json::parse(result.out)["variants"];
  REQUIRE(variants.size() == 8);
  CHECK(variants[1]["ones"] == variants[7]["ones"]);  // the control has the row's
  CHECK(variants[0]["ones"] > variants[1]["ones"]);
  CHECK(read_image(scratch / "sheet.png").width > 500);
}

TEST_CASE("estimated cache bytes and FLOPs of a random control are those of an instrumented run") {
  const Setting setting;
  const auto study = tools::read_study(setting.write(tiny_study()));
  const auto& config = study.variants[2].config;
  const auto device = make_cpu_device(1);
  Context context(*device);
  transformer::Transformer model(*device, config);
  model.initialise(1);
  transformer::DecodeRequest request;
  request.text = transformer::empty_text_slots(config, {});
  transformer::Decoder decoder(context, model, request);
  const std::vector<uint32_t> candidates = {0, 1, 2};
  decoder.decode(context, candidates);
  const auto estimate = transformer::estimate(config, {});
  const auto& use = decoder.cache_use();
  CHECK(estimate.cache * candidates.size() == use.bytes);
  const double width = config.width, steps = config.cells() - 1;
  const double products = 2 * 12 * width * width * config.layers + 2 * width * config.image_vocab;
  // Rows of the shared prefix are read once for all candidates.
  const double rows = static_cast<double>(use.prefix_rows_read) +
                      static_cast<double>(use.private_rows_read) / candidates.size();
  CAPTURE(use.prefix_rows_read);
  CAPTURE(use.private_rows_read);
  CHECK(estimate.image_flops == doctest::Approx(steps * products + 4 * width * rows).epsilon(1e-12));
}

}  // namespace
}  // namespace dalle1::test
