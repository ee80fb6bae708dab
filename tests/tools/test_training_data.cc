// Training data as people have it, through the program: what is left out is said, one bad sample ends
// nothing.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "core/data/token_shard.h"
#include "core/image/png.h"
#include "core/image/resample.h"
#include "core/io/atomic_file.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
using test::write_text;
namespace fs = std::filesystem;

namespace {

// A disc whose place and colours follow from the number.
Image disc(int number, int width = 40, int height = 40) {
  Image image(width, height, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int dx = x - width / 2 - number % 5, dy = y - height / 2 + number % 3;
      const bool inside = dx * dx + dy * dy < 80;
      for (int c = 0; c < 3; ++c)
        image.at(x, y)[c] = static_cast<uint8_t>((number * (inside ? 37 : 91) + c * 80) % 256);
    }
  return image;
}

std::string png(int number) {
  const std::vector<uint8_t> bytes = encode_png(disc(number));
  return {bytes.begin(), bytes.end()};
}

// PAIRS/00.png to 11.png, each with a caption.
void write_pairs(const fs::path& folder) {
  for (int i = 0; i < 12; ++i) {
    write_text(folder / fmt::format("{:02}.png", i), png(i));
    write_text(folder / fmt::format("{:02}.txt", i), i % 2 ? "a red cat" : "a blue star");
  }
}

test::ProgramResult shard(const fs::path& data, const fs::path& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {
      "shard",  "--data", data.string(), "--out", out.string(), "--model", test::shallow_model().string(),
      "--grid", "4",      "--threads",   "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run_program(arguments);
}

std::vector<std::string> captions_in(const fs::path& shards) {
  const TokenShards read(shards);
  std::vector<std::string> captions;
  for (uint64_t i = 0; i < read.size(); ++i) captions.push_back(read.read(i).caption);
  return captions;
}

bool says(const test::ProgramResult& result, const std::string& text) {
  return result.err.find(text) != std::string::npos;
}

struct ClipRun {
  ScratchDir scratch;
  fs::path pairs = scratch / "pairs";

  ClipRun() {
    write_pairs(pairs);
    const json config = {{"embed_dim", 16},
                         {"image_resolution", 32},
                         {"vision_layers", 1},
                         {"vision_width", 64},
                         {"vision_patch_size", 16},
                         {"context_length", 12},
                         {"transformer_width", 32},
                         {"transformer_heads", 1},
                         {"transformer_layers", 1},
                         {"train",
                          {{"steps", 6},
                           {"batch", 4},
                           {"learning_rate", 1e-3},
                           {"log_every", 1},
                           {"checkpoint_every", 2},
                           {"evaluate_pairs", 4},
                           {"evaluate_group", 4}}}};
    write_text(scratch / "clip.json", config.dump());
  }

  test::ProgramResult train(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train",       "clip",
                                          "--config",    (scratch / "clip.json").string(),
                                          "--data",      pairs.string(),
                                          "--out",       (scratch / out).string(),
                                          "--threads",   "1",
                                          "--tokenizer", (test::tiny_model() / "text.model").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::run_program(arguments);
  }
};

}  // namespace

TEST_CASE("shard says what it leaves out, and how many samples have no caption") {
  ScratchDir scratch;
  test::write_tar(scratch / "0.tar", {{"._a.png", "junk"},
                                      {"a.PNG", png(1)},
                                      {"._a.txt", "junk"},
                                      {"b.png", png(2)},
                                      {"c.png", png(3)},
                                      {"d.webp", "x"},
                                      {"d.txt", "of a webp"},
                                      {"e.f.png", png(4)},
                                      {"a.TXT",
                                       "\xef\xbb\xbf"
                                       "a red square "},
                                      {"b.txt", " \n"},
                                      {"e.f.txt", "a dotted key"},
                                      {"g.png", png(5)},
                                      {"g.txt", "un caf\xe9"}});
  const auto result = shard(scratch / "0.tar", scratch / "out", {"--json"});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(captions_in(scratch / "out") == std::vector<std::string>{"a red square", "", "", "a dotted key"});
  CHECK(says(result, "data: 5 samples; left out: 1 .webp, 2 hidden; 1 without caption\n"));
  CHECK(says(result,
             "skipped: " + (scratch / "0.tar").string() + ":g.txt is not valid UTF-8 at byte 6 (0xe9)"));
  CHECK(says(result,
             "data: 5 samples; left out: 1 .webp, 2 hidden; 2 without caption; 1 broken and skipped\n"));
  const json data = json::parse(result.out)["data"];
  CHECK(data == json{{"samples", 5},
                     {"left_out", {{".webp", 1}, {"hidden", 2}}},
                     {"without_caption", 2},
                     {"skipped", 1}});
  CHECK(json::parse(shard(scratch / "0.tar", scratch / "out", {"--json", "--resume"}).out)["data"] == data);
  CHECK(shard(scratch / "0.tar", scratch / "quiet", {"--quiet"}).err.empty());

  const auto strict = shard(scratch / "0.tar", scratch / "strict", {"--max-bad", "0"});
  CHECK(strict.exit_code == 3);
  CHECK(strict.error_line().find("g.txt is not valid UTF-8") != std::string::npos);
}

TEST_CASE("shard refuses at once what it cannot read as data, by name") {
  ScratchDir scratch;
  const auto refused = [&](const std::string& name, const std::string& why) {
    const auto result = shard(scratch / name, scratch / "out");
    CAPTURE(result.err);
    CHECK(result.exit_code == 3);
    CHECK(result.error_line().find(why) != std::string::npos);
  };
  REQUIRE(mkfifo((scratch / "pipe.tar").c_str(), 0600) == 0);
  refused("pipe.tar", "pipe.tar: not a regular file");
  write_text(scratch / "set/0.tar.gz", "\x1f\x8b" + std::string(100, 'x'));
  refused("set", "0.tar.gz: compressed with gzip; gunzip it");
  write_text(scratch / "array.jsonl", R"([{"image": "a.png", "caption": "red"}])");
  refused("array.jsonl", "a JSON array; write one object a line");
  write_text(scratch / "wide.jsonl", test::utf16(R"({"image": "a.png", "caption": "red"})"));
  refused("wide.jsonl", "wide.jsonl, line 1: UTF-16; save it as UTF-8");
}

TEST_CASE("broken lines of a captions.jsonl are skipped by name") {
  ScratchDir scratch;
  for (int i = 0; i < 3; ++i) write_text(scratch / fmt::format("{}.png", i), png(i));
  write_text(scratch / "captions.jsonl",
             "{\"image\": \"0.png\", \"caption\": \"red\", \"similarity\": NaN}\n"
             "{\"image\": \"1.png\", \"caption\": \"half \\ud83d\"}\n"
             "{\"image\": \"2.png\", \"caption\": \"caf\xe9\"}\n"
             "{\"image\": \"absent.png\", \"caption\": \"red\"}\n"
             "{\"image\": \"2.png\", \"caption\": []}\n");
  const auto result = shard(scratch.path(), scratch / "out", {"--max-bad", "1"});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(captions_in(scratch / "out") == std::vector<std::string>{"red", ""});
  CHECK(says(result, "captions.jsonl, line 2, column 37: the escape \\ud83d is half of a pair"));
  CHECK(says(result, "captions.jsonl, line 3 is not valid UTF-8 at byte 34 (0xe9)"));
  CHECK(says(result, "absent.png: cannot be opened"));
  CHECK(says(result, "data: 5 samples; 1 without caption; 3 broken and skipped"));
}

TEST_CASE("train transformer says how many samples have no caption") {
  ScratchDir scratch;
  write_pairs(scratch / "pairs");
  fs::remove(scratch / "pairs/03.txt");
  REQUIRE(shard(scratch / "pairs", scratch / "shards").exit_code == 0);
  const json config = {{"layers", 1},
                       {"width", 32},
                       {"heads", 1},
                       {"text_length", 16},
                       {"text_vocab", 96},
                       {"grid", 4},
                       {"image_vocab", 32},
                       {"train", {{"steps", 1}, {"batch", 2}, {"learning_rate", 1e-3}, {"validation", 0}}}};
  write_text(scratch / "transformer.json", config.dump());
  const auto result = test::run_program(
      {"train", "transformer", "--json", "--threads", "1", "--config",
       (scratch / "transformer.json").string(), "--data", (scratch / "shards").string(), "--tokenizer",
       (test::tiny_model() / "text.model").string(), "--out", (scratch / "run").string()});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(says(result, "data: 12 samples; 1 without caption\n"));
  CHECK(json::parse(result.out)["data"]["without_caption"] == 1);
}

TEST_CASE("train clip goes past pairs that are broken in any way, names them, and resumes to the bit") {
  const ClipRun run;
  fs::remove(run.pairs / "01.txt");
  write_text(run.pairs / "02.txt", "caf\xe9");
  write_text(run.pairs / "03.png", "no picture");
  write_text(run.pairs / "04.png", png(4).substr(0, 60));
  write_png(run.pairs / "05.png", disc(5, 20, 4000));  // thin, and no reason to stop
  write_text(run.pairs / "10.txt", "");                // held out for measuring
  const auto whole = run.train("whole", {"--max-bad", "1"});
  CAPTURE(whole.err);
  REQUIRE(whole.exit_code == 0);
  CHECK(says(whole, "data: 12 samples; 1 without caption; 1 broken and skipped\n"));  // by measuring
  for (const char* why : {"01.png: the picture has no caption", "02.txt is not valid UTF-8 at byte 3",
                          "03.png: not a PNG or JPEG", "04.png: ", "10.png: the picture has no caption"})
    CHECK(says(whole, why));
  CHECK_FALSE(says(whole, "05.png"));
  CHECK(says(whole, "; 5 broken and skipped\n"));

  const auto stopped = run.train("parts", {"--max-bad", "1", "--max-minutes", "0.00001"});
  REQUIRE(stopped.exit_code == 0);
  REQUIRE(run.train("parts", {"--max-bad", "1", "--resume"}).exit_code == 0);
  CHECK(test::content_of(run.scratch / "parts/model/clip.safetensors") ==
        test::content_of(run.scratch / "whole/model/clip.safetensors"));

  const auto strict = run.train("strict", {"--max-bad", "0"});
  CHECK(strict.exit_code == 3);
  CHECK(strict.error_line().find("10.png: the picture has no caption") != std::string::npos);
}

TEST_CASE("train dvae needs no captions, and skips only broken pictures") {
  ScratchDir scratch;
  write_pairs(scratch / "pairs");
  write_text(scratch / "pairs/02.txt", "caf\xe9");
  write_text(scratch / "pairs/03.png", "no picture");
  write_text(scratch / "pairs/x.webp", "x");
  write_png(scratch / "pairs/05.png", disc(5, 4000, 20));
  write_text(scratch / "dvae.json",
             R"({"hidden": 8, "decoder_init": 8, "groups": 2, "blocks_per_group": 1, "codes": 16,
    "post_gain": 0.25, "quantiser": "vq",
    "train": {"steps": 4, "batch": 4, "crop": 16, "resolution": 32, "learning_rate": 0.001,
              "evaluate_pictures": 4, "sheet_pictures": 2, "vq": {"continuous_steps": 2, "dimensions": 4}}})");
  const auto result = test::run_program({"train", "dvae", "--json", "--threads", "1", "--config",
                                         (scratch / "dvae.json").string(), "--data",
                                         (scratch / "pairs").string(), "--out", (scratch / "run").string()});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(says(result, "data: 12 samples; left out: 1 .webp; 1 broken and skipped\n"));
  CHECK_FALSE(says(result, "02.txt"));
  CHECK(json::parse(result.out)["data"]["skipped"] == 1);
}

TEST_CASE("train tokenizer reads captions of every kind of data") {
  ScratchDir scratch;
  std::string lines, rows = "\xef\xbb\xbf";
  test::Members members;
  for (int i = 0; i < 20; ++i) {
    const std::string caption =
        fmt::format("a {} {} on {}", i % 3 ? "red" : "green", i % 2 ? "cat" : "star", i);
    lines += caption + "\r\n";
    rows += json{{"text", " " + caption + "\n"}}.dump() + "\n";
    members.emplace_back(fmt::format("{:02}.png", i), png(i));
    members.emplace_back(fmt::format("{:02}.TXT", i), caption + "\n");
  }
  rows += "{\"text\": null, \"score\": NaN}\n";
  members.emplace_back("30.png", png(0));
  members.emplace_back("31.gif", "x");
  write_text(scratch / "captions.txt", lines);
  write_text(scratch / "set/metadata.jsonl", rows);
  test::write_tar(scratch / "0.tar", members);
  const auto train = [&](const std::string& data, const std::string& out) {
    return test::run_program({"train", "tokenizer", "--data", (scratch / data).string(), "--vocab", "40",
                              "--out", (scratch / out).string()});
  };
  const auto text = train("captions.txt", "a"), row = train("set", "b"), tar = train("0.tar", "c");
  for (const auto* result : {&text, &row, &tar}) REQUIRE_MESSAGE(result->exit_code == 0, result->err);
  CHECK(says(text, "data: 20 samples\n"));
  CHECK(says(row, "data: 21 samples; 1 without caption\n"));
  CHECK(says(tar, "data: 21 samples; left out: 1 .gif; 1 without caption\n"));
  CHECK(test::content_of(scratch / "a") == test::content_of(scratch / "b"));
  CHECK(test::content_of(scratch / "a") == test::content_of(scratch / "c"));

  write_text(scratch / "captions.txt", lines + "caf\xe9\n");
  CHECK(train("captions.txt", "d").error_line().find("captions.txt, line 21 is not valid UTF-8 at byte 3") !=
        std::string::npos);
  write_text(scratch / "captions.txt", test::utf16(lines));
  CHECK(train("captions.txt", "d").error_line().find("captions.txt, line 1: UTF-16") != std::string::npos);
}

TEST_CASE("thin pictures are ranked, classified and embedded like their middle") {
  ScratchDir scratch;
  const Image square = disc(3, 32, 32);
  write_png(scratch / "square.png", square);
  Image wide(4000, 32, 3, 120), tall(1, 10000, 3, 90);
  for (int y = 0; y < 32; ++y) std::copy_n(square.at(0, y), square.row_bytes(), wide.at(1984, y));
  for (int y = 0; y < 10000; y += 2) tall.at(0, y)[0] = 200;
  write_png(scratch / "wide.png", wide);
  write_png(scratch / "tall.png", tall);
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, {"--model", test::shallow_model().string(), "--quiet", "--json"});
    for (const char* name : {"square.png", "wide.png", "tall.png"})
      arguments.push_back((scratch / name).string());
    return test::run_program(arguments);
  };
  const auto ranked = run({"rank", "--prompt", "a red cat"});
  REQUIRE_MESSAGE(ranked.exit_code == 0, ranked.err);
  std::map<std::string, double> cosines;
  const json document = json::parse(ranked.out);
  for (const auto& row : document["pictures"])
    cosines[fs::path(row["picture"].get<std::string>()).filename().string()] = row["cosine"];
  CHECK(cosines.size() == 3);
  CHECK(cosines["wide.png"] == cosines["square.png"]);
  CHECK(run({"classify", "--labels", "a red cat,a blue star"}).exit_code == 0);
  CHECK(run({"embed", "--out", (scratch / "f.npy").string()}).exit_code == 0);
}
