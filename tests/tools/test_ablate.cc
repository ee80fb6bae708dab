// dalle1 ablate from end to end: a study of seconds on made-up shards.
#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>
#include <cmath>

#include "core/cpu/counting_device.h"
#include "core/data/npy.h"
#include "core/data/token_shard.h"
#include "core/image/png.h"
#include "core/train/metrics.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/program/progress.h"
#include "tools/study/study.h"
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
      for (int cell = 0; cell < 16; ++cell) tokens.push_back((i * 5 + cell / 2 * (i % 3 + 1)) % 32);
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

struct Costs {
  int64_t flops, bytes;
};

// Of one picture, counted where it is drawn.
Costs counted_costs(const transformer::TransformerConfig& config) {
  const auto cpu = make_cpu_device(1);
  const auto device = make_counting_device(*cpu);
  Context context(*device);
  transformer::Transformer model(*device, config);
  model.initialise(1);
  transformer::DecodeRequest request;
  request.text = transformer::empty_text_slots(config, {});
  const double before = device->operations();
  transformer::Decoder decoder(context, model, request);
  decoder.decode(std::vector<uint32_t>{0});
  return {static_cast<int64_t>(device->operations() - before),
          static_cast<int64_t>(decoder.cache_use().bytes)};
}

// What is counted must stand in the report and in the table, to the last digit.
void check_costs(const tools::Study& study, const std::string& page, const std::string& table) {
  for (const tools::StudyVariant& variant : study.variants) {
    CAPTURE(variant.name);
    const auto [flops, bytes] = counted_costs(variant.config);
    CAPTURE(flops);
    CAPTURE(bytes);
    CHECK(flops > 0);
    CHECK(page.find(">" + tools::grouped(flops) + "<") != std::string::npos);
    CHECK(page.find(">" + tools::grouped(bytes) + "<") != std::string::npos);
    CHECK(table.find(fmt::format(",{},{}\n", bytes, flops)) != std::string::npos);
  }
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

  // The bits of the grid's rows, and of flat and edge cells, are those of the whole.
  const json parts = json::parse(content_of(runs / "rows-lr0.002-1" / "result.json"))["image_parts"];
  const auto of_rows = parts["rows"].get<std::vector<double>>();
  const double flat_share = parts["flat_share"], flat = parts["flat"], edge = parts["edge"];
  const auto bits = doctest::Approx(rows.back()["validation_image_bits"].get<double>()).epsilon(1e-6);
  REQUIRE(of_rows.size() == 4);
  CHECK((of_rows[0] + of_rows[1] + of_rows[2] + of_rows[3]) / 4 == bits);
  CHECK(flat_share * flat + (1 - flat_share) * edge == bits);
  CHECK(flat_share == 0.5);  // every other cell repeats the one to its left

  // Stopped in the middle of a run: a checkpoint, no result. Then killed in the middle of another.
  const auto ended_by = [&](int signal, const std::string& run, size_t rows_seen) {
    ProgramOptions options;
    bool sent = false;
    options.watch = [&, signal](int process, double) {
      const auto seen = read_metrics(setting.scratch / "halves" / "runs" / run / "metrics.jsonl");
      if (!sent && seen.size() >= rows_seen) sent = kill(process, signal) == 0;
    };
    const auto result = run_program(setting.command(tiny_study(), "halves"), options);
    if (signal == SIGTERM) CHECK(result.error_line().starts_with("dalle1: error: interrupted: "));
    return result.exit_code;
  };
  CHECK(ended_by(SIGTERM, "rows-again-lr0.002-1", 1) == 128 + SIGTERM);
  CHECK(fs::exists(setting.scratch / "halves" / "runs" / "rows-lr0.002-1" / "result.json"));
  CHECK_FALSE(fs::exists(setting.scratch / "halves" / "report.html"));
  const auto kept =
      fs::last_write_time(setting.scratch / "halves" / "runs" / "rows-lr0.002-1" / "result.json");
  CHECK(ended_by(SIGKILL, "rows-lr0.002-2", 3) == 128 + SIGKILL);
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

  CHECK(content_of(setting.scratch / "halves" / "report.html").find("Drawn, but not shown") !=
        std::string::npos);

  const std::string page = content_of(setting.scratch / "whole" / "report.html");
  CHECK(page.find("://") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("class=\"sample\"") != std::string::npos);
  CHECK(page.find("not larger than the seeds' spread") != std::string::npos);
  CHECK(page.find("too small to claim anything") != std::string::npos);
  const std::string table = content_of(setting.scratch / "whole" / "summary.csv");
  CHECK(std::count(table.begin(), table.end(), '\n') == 7);
  check_costs(tools::read_study(setting.write(tiny_study())), page, table);
}

TEST_CASE("the costs of every kind of layer are those of an instrumented run") {
  const Setting setting;
  json study = tiny_study();
  study["base_variant"] = "dense";
  study["variants"] = json::array();
  for (const json& schedule :
       {json("dense"), json("row"), json("column"), json{{"kind", "conv"}, {"kernel", 3}},
        json{{"kind", "paper"}, {"kernel", 3}, {"wrap", "raster"}}, json::array({"row", "random:1:column"})})
    study["variants"].push_back(
        {{"name", schedule.is_string() ? schedule.get<std::string>() : schedule.dump()},
         {"schedule", schedule}});
  for (const auto& variant : tools::read_study(setting.write(study)).variants) {
    CAPTURE(variant.name);
    const auto counted = counted_costs(variant.config);
    const auto estimate = transformer::estimate(variant.config, {});
    CHECK(counted.flops == std::llround(estimate.prefill_flops + estimate.image_flops));
    CHECK(counted.bytes == static_cast<int64_t>(estimate.cache));
  }
}

TEST_CASE("without --tokenizer the model's is taken, unless the shards are another's") {
  const Setting setting;
  json study = tiny_study();
  study["seeds"] = {1};
  study["train"]["steps"] = 2;
  auto words = setting.command(study, "own");
  const auto option = std::find(words.begin(), words.end(), "--tokenizer");
  *option = "--model", *(option + 1) = tiny_model().string();
  const auto own = run_program(words);
  CHECK_MESSAGE(own.exit_code == 0, own.err);

  {
    TokenShardWriter writer(setting.scratch / "pairs.tokens", {4, 32, "dvae", "of another tokenizer"});
    for (int i = 0; i < 24; ++i) writer.add(std::vector<int32_t>(16, i), "a red square");
    writer.finish();
  }
  *std::find(words.begin(), words.end(), (setting.scratch / "own").string()) =
      (setting.scratch / "other").string();
  const auto other = run_program(words);
  CHECK(other.exit_code == 2);
  CHECK(other.error_line().find("give --tokenizer FILE") != std::string::npos);
}

TEST_CASE("variants of one seed begin from the same values, whatever their patterns") {
  const Setting setting;
  const auto study = tools::read_study(setting.write(tiny_study()));
  const auto device = make_cpu_device(1);
  std::vector<std::vector<float>> values[2];
  for (int i = 0; i < 2; ++i) {
    transformer::Transformer model(*device, study.variants[i == 0 ? 0 : 2].config);
    model.initialise(7);
    model.visit([&](const std::string&, Tensor& tensor) { values[i].push_back(tensor.to_floats()); });
  }
  CHECK(values[0].size() > 10);
  CHECK(values[0] == values[1]);
}

TEST_CASE("a run that diverges is recorded and shown, and the study goes on with the others") {
  const Setting setting;
  json study = tiny_study();
  study["seeds"] = {1};
  study["learning_rates"] = {0.002, 1e30};
  study["train"]["steps"] = 14;
  study["variants"].erase(1);
  const auto result = run_program(setting.command(study, "diverging"));
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::string table = content_of(setting.scratch / "diverging" / "summary.csv");
  const std::string page = content_of(setting.scratch / "diverging" / "report.html");
  const auto line = table.find("\"rows\",1e+30,1,0,");
  REQUIRE(line != std::string::npos);
  CHECK(table.substr(line, table.find('\n', line) - line).find(",,,,,,,,,") != std::string::npos);
  CHECK(table.find("\"rows\",0.002,1,1,,14,") != std::string::npos);
  CHECK(page.find("<h2>Diverged runs</h2>") != std::string::npos);
  CHECK(page.find("1 diverged") != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
  // It counts as done: going on does not train it again.
  const auto record = setting.scratch / "diverging" / "runs" / "rows-lr1e+30-1" / "result.json";
  const auto made = fs::last_write_time(record);
  CHECK(run_program(setting.command(study, "diverging")).exit_code == 0);
  CHECK(made == fs::last_write_time(record));

  study["learning_rates"] = {1e30};  // nothing left to compare
  const auto none = run_program(setting.command(study, "nothing"));
  REQUIRE_MESSAGE(none.exit_code == 0, none.err);
  CHECK(content_of(setting.scratch / "nothing" / "report.html").find("diverged with every seed") !=
        std::string::npos);
}

TEST_CASE("a budget of tokens becomes the steps that it pays for") {
  const Setting setting;
  const auto steps = [&](int64_t tokens, double full_text_from) {
    json study = tiny_study();
    study["train"].erase("steps");
    study["train"]["tokens"] = tokens;
    study["train"]["full_text_from"] = full_text_from;
    study["train"]["learning_rate"] = {{"kind", "linear"}, {"last", 0}};
    const auto read = tools::read_study(setting.write(study));
    CHECK(read.tokens_of_run() <= tokens);
    CHECK(tools::train_options_of(read, read.runs().front()).learning_rate.end == read.train["steps"]);
    return read.train["steps"].get<int64_t>();
  };
  CHECK(steps(4 * 22 * 7, 1.0) == 7);  // 4 samples of 6 text slots and 16 cells
  CHECK(steps(4 * 22 * 7 - 1, 1.0) == 6);
  CHECK(steps(4 * 24 * 7, 0.0) == 7);  // all 8 text slots
  CHECK(steps(4 * (22 * 5 + 24 * 5), 0.5) == 10);
  CHECK_THROWS_AS(steps(4 * 22 - 1, 1.0), Error);
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
  refused("'train.steps' must be a whole number from 1 to", [](json& s) { s["train"]["steps"] = 0; });
  refused("either 'steps' or a budget of 'tokens'", [](json& s) { s["train"]["tokens"] = 1000; });
  refused("either 'steps' or a budget of 'tokens'", [](json& s) { s["train"].erase("steps"); });
  refused("'train.tokens' is 0", [](json& s) {
    s["train"].erase("steps");
    s["train"]["tokens"] = 0;
  });
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
  CHECK(variants[4]["ones"] == variants[7]["ones"]);  // the control has the base's, the paper's
  CHECK(variants[0]["ones"] > variants[1]["ones"]);
  CHECK(read_image(scratch / "sheet.png").width > 500);
}

}  // namespace
}  // namespace dalle1::test
