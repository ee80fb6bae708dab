// From drawn shapes to a transformer that knows them by heart, through the program alone: train tokenizer,
// shard, train transformer, tokenize, logits.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/data/npy.h"
#include "core/data/token_shard.h"
#include "core/image/png.h"
#include "core/train/metrics.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"

using namespace dalle1;
using nlohmann::json;
using test::content_of;
using test::golden;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

constexpr int kGrid = 8, kSide = 8 * kGrid;

struct Shape {
  std::string caption;
  int kind, size, colour;
};

// 4 shapes x 4 colours x 2 sizes.
std::vector<Shape> all_shapes() {
  const char* const kinds[] = {"circle", "square", "ring", "cross"};
  const char* const colours[] = {"red", "green", "blue", "yellow"};
  std::vector<Shape> shapes;
  for (int i = 0; i < 32; ++i)
    shapes.push_back({fmt::format("a {} {} {}", i / 16 ? "small" : "large", colours[i % 4], kinds[i / 4 % 4]),
                      i / 4 % 4, i / 16 ? 14 : 26, i % 4});
  return shapes;
}

Image draw(const Shape& shape) {
  const uint8_t colours[4][3] = {{220, 40, 40}, {40, 170, 60}, {40, 70, 220}, {240, 210, 50}};
  Image image(kSide, kSide, 3, 235);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int dx = std::abs(x - kSide / 2), dy = std::abs(y - kSide / 2), s = shape.size;
      const int square = dx * dx + dy * dy;
      const bool inside = shape.kind == 0   ? square < s * s
                          : shape.kind == 1 ? std::max(dx, dy) < s
                          : shape.kind == 2 ? square < s * s && square > s * s / 3
                                            : std::max(dx, dy) < s && std::min(dx, dy) < s / 3;
      if (inside) std::copy(colours[shape.colour], colours[shape.colour] + 3, image.at(x, y));
    }
  }
  return image;
}

void succeeds(const std::vector<std::string>& arguments, const test::ProgramOptions& options = {},
              int code = 0) {
  const auto result = run_program(arguments, options);
  CAPTURE(arguments[0]);
  CAPTURE(result.err);
  REQUIRE(result.exit_code == code);
  CHECK(result.error_lines() == (code == 0 ? 0 : 1));
}

// Pictures, tokenizer and shards in a scratch folder.
struct Data {
  ScratchDir scratch;
  std::vector<Shape> shapes = all_shapes();

  Data() {
    fs::create_directories(scratch / "pictures");
    std::ofstream captions(scratch / "pictures/captions.jsonl");
    for (size_t i = 0; i < shapes.size(); ++i) {
      const std::string name = fmt::format("{:02}.png", i);
      write_png(scratch / ("pictures/" + name), draw(shapes[i]));
      captions << json{{"image", name}, {"caption", shapes[i].caption}}.dump() << "\n";
    }
    captions.close();
    succeeds({"train", "tokenizer", "--quiet", "--data", at("pictures"), "--vocab", "60", "--out",
              at("text.model")});
    succeeds(shard(at("shards")));
  }

  std::string at(const std::string& name) const { return (scratch / name).string(); }

  std::vector<std::string> shard(const std::string& out) const {
    return {"shard",
            "--quiet",
            "--data",
            at("pictures"),
            "--out",
            out,
            "--grid",
            std::to_string(kGrid),
            "--dvae",
            golden("openai_dvae/encoder_legacy.pkl").string() + "," +
                golden("openai_dvae/decoder_legacy.pkl").string(),
            "--tokenizer",
            at("text.model")};
  }

  // The paper's pattern schedule; `train` on top of what both sizes share.
  void write_config(int layers, int width, const json& train) const {
    json file = {{"layers", layers},
                 {"width", width},
                 {"heads", width / 32},
                 {"text_length", 16},
                 {"text_vocab", 60},
                 {"grid", kGrid},
                 {"image_vocab", 512},
                 {"schedule", {{"kind", "paper"}, {"kernel", 5}}},
                 {"train",
                  {{"batch", 16},
                   {"beta2", 0.96},
                   {"weight_decay", 0.045},
                   {"clip_norm", 1},
                   {"seed", 3},
                   {"text_dropout", 0},
                   {"bpe_dropout", 0},
                   {"ema_decay", 0},
                   {"validation", 0},
                   {"log_every", 1}}}};
    file["train"].update(train);
    std::ofstream(at("transformer.json")) << file.dump();
  }

  std::vector<std::string> train(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "train",  "transformer", "--quiet",     "--threads",      "1",     "--config", at("transformer.json"),
        "--data", at("shards"),  "--tokenizer", at("text.model"), "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // How many pictures greedy sampling gives back, token for token.
  int remembered(const std::string& model) const {
    std::vector<std::string> texts = {"tokenize", "--json", "--tokenizer", at("text.model")};
    for (const Shape& shape : shapes) texts.insert(texts.end(), {"--print", shape.caption});
    std::vector<int64_t> ids;
    for (auto row : json::parse(run_program(texts).out).get<std::vector<std::vector<int64_t>>>()) {
      row.resize(16, 0);
      ids.insert(ids.end(), row.begin(), row.end());
    }
    const auto count = static_cast<int64_t>(shapes.size());
    write_npy(at("ids.npy"), {count, 16}, ids);
    succeeds({"logits", "--quiet", "--transformer", model, "--ids", at("ids.npy"), "--greedy",
              std::to_string(kGrid * kGrid), "--tokens-out", at("drawn.npy")});
    const auto drawn = read_npy(at("drawn.npy")).to_i64();
    const TokenShards shards(at("shards"));
    int right = 0;
    for (uint64_t i = 0; i < shards.size(); ++i) {
      const auto wanted = shards.read(i).tokens;
      right +=
          std::equal(wanted.begin(), wanted.end(), drawn.begin() + static_cast<int64_t>(i) * kGrid * kGrid);
    }
    return right;
  }
};

const Data& data() {
  static const Data made;
  return made;
}

std::vector<double> losses_of(const fs::path& run) {
  std::vector<double> losses;
  for (const json& row : read_metrics(run / "metrics.jsonl")) losses.push_back(row.at("loss"));
  return losses;
}

// Interrupts the program as soon as `file` has `lines` lines.
test::ProgramOptions interrupted_at(const fs::path& file, int lines) {
  test::ProgramOptions options;
  options.watch = [file, lines, sent = false](int process, double) mutable {
    if (sent || !fs::exists(file)) return;
    const std::string text = content_of(file);
    if (std::count(text.begin(), text.end(), '\n') < lines) return;
    kill(process, SIGINT);
    sent = true;
  };
  return options;
}

}  // namespace

TEST_CASE("shard: the tokens that encode gives, every picture's own") {
  const TokenShards shards(data().at("shards"));
  REQUIRE(shards.size() == 32);
  CHECK(shards.info().codes == 512);
  std::set<std::vector<int32_t>> different;
  std::vector<std::string> encode = {"encode", "--quiet",          "--out", data().at("tokens.npy"),
                                     "--dvae", data().shard("")[9]};
  for (int i = 0; i < 32; ++i) encode.push_back(data().at(fmt::format("pictures/{:02}.png", i)));
  succeeds(encode);
  const auto tokens = read_npy(data().at("tokens.npy")).to_i64();
  for (uint64_t i = 0; i < 32; ++i) {
    const TokenRecord record = shards.read(i);
    CHECK(record.caption == data().shapes[i].caption);
    CHECK(std::equal(record.tokens.begin(), record.tokens.end(),
                     tokens.begin() + static_cast<int64_t>(i) * 64));
    different.insert(record.tokens);
  }
  CHECK(different.size() == 32);
}

TEST_CASE(
    "shard: interrupted and resumed has the records of an uninterrupted run, and other options are refused") {
  ScratchDir scratch;
  const auto out = [&](const std::string& name) { return (scratch / name).string(); };
  fs::create_directories(scratch / "some");
  for (int i = 0; i < 11; ++i)
    fs::copy(data().at(fmt::format("pictures/{:02}.png", 3 * i % 32)),
             scratch / fmt::format("some/{}.png", i));
  std::ofstream(scratch / "some/2.png") << "no picture";
  std::string lines;
  for (int i = 0; i < 11; ++i)
    lines += json{{"image", fmt::format("{}.png", i)}, {"caption", std::to_string(i)}}.dump() + "\n";
  std::ofstream(scratch / "some/captions.jsonl") << lines;
  const auto shard = [&](const std::string& name, const std::string& views,
                         std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = data().shard(out(name));
    arguments[3] = out("some");
    arguments[7] = "1";
    arguments.insert(arguments.end(), {"--views", views, "--batch", "256", "--max-bad", "0.2"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  succeeds(shard("whole", "1000"));
  const TokenShards whole(out("whole"));
  CHECK(whole.size() == 10000);
  CHECK(fs::exists(scratch / "whole/000001.tokens"));

  succeeds(shard("parts", "1000"), interrupted_at(scratch / "parts/progress.json", 1), 130);
  CHECK(run_program(shard("parts", "1000")).exit_code == 2);
  const auto refused = run_program(shard("parts", "999", {"--resume"}));
  CHECK(refused.exit_code == 2);
  CHECK(refused.error_line().find("'views' was 1000") != std::string::npos);
  auto finish = shard("parts", "1000", {"--resume", "--json"});
  const auto finished = run_program(finish);
  REQUIRE(finished.exit_code == 0);
  CHECK(json::parse(finished.out)["broken_pictures"] == 1);
  CHECK(run_program(finish).out == finished.out);  // nothing is left to do
  const TokenShards parts(out("parts"));
  REQUIRE(parts.size() == whole.size());
  for (uint64_t i = 0; i < whole.size(); ++i) {
    const TokenRecord a = whole.read(i), b = parts.read(i);
    REQUIRE(a.tokens == b.tokens);
    REQUIRE(a.caption == b.caption);
    REQUIRE(a.kind == b.kind);
  }
  succeeds(shard("parts", "3", {"--overwrite"}));
  CHECK(TokenShards(out("parts")).size() == 30);
}

TEST_CASE("train transformer: interrupted and resumed is the uninterrupted run bit for bit") {
  json train = {{"steps", 12},        {"batch", 4},      {"learning_rate", 2e-3},
                {"ema_decay", 0.9},   {"accumulate", 2}, {"text_dropout", 0.1},
                {"bpe_dropout", 0.1}, {"validation", 4}, {"text_slots", 8}};
  data().write_config(2, 32, train);
  ScratchDir scratch;
  succeeds(data().train((scratch / "whole").string(), {"--tensorboard"}));
  CHECK(losses_of(scratch / "whole").size() == 12);
  CHECK(read_metrics(scratch / "whole/metrics.jsonl").back().contains("validation_image_bits"));
  const auto events = *fs::directory_iterator(scratch / "whole/tensorboard");
  CHECK(content_of(events.path()).find("image_nats") != std::string::npos);

  const auto parts = (scratch / "parts").string();
  succeeds(data().train(parts), interrupted_at(scratch / "parts/metrics.jsonl", 3), 130);
  REQUIRE(losses_of(scratch / "parts").size() < 12);
  CHECK(run_program(data().train(parts)).exit_code == 2);
  succeeds(data().train(parts, {"--resume"}));
  CHECK(losses_of(scratch / "parts") == losses_of(scratch / "whole"));
  CHECK(content_of(scratch / "parts/model/transformer.safetensors") ==
        content_of(scratch / "whole/model/transformer.safetensors"));

  // Named whether or not the checkpoint's tensors would still fit.
  for (const auto& [key, value] : {std::pair{"steps", json(13)}, {"ema_decay", json(0)}}) {
    json other = train;
    other[key] = value;
    data().write_config(2, 32, other);
    const auto refused = run_program(data().train(parts, {"--resume"}));
    CHECK(refused.exit_code == 2);
    CHECK(refused.error_line().find(std::string("/train/") + key) != std::string::npos);
  }
}

TEST_CASE("train transformer: a deadline ends the training at the end of its schedule, whatever the steps") {
  data().write_config(
      2, 32,
      {{"steps", 1000000},
       {"learning_rate", {{"kind", "linear"}, {"first", 2e-3}, {"last", 0}, {"end", 1000000}}}});
  ScratchDir scratch;
  const auto run = (scratch / "run").string();
  succeeds(data().train(run, {"--deadline", "1"}));
  const auto rows = read_metrics(scratch / "run/metrics.jsonl");
  REQUIRE(rows.size() > 0);
  CHECK(rows.front()["learning_rate"].get<double>() == doctest::Approx(2e-3).epsilon(1e-2));
  CHECK(fs::exists(scratch / "run/model/transformer.safetensors"));
  const auto refused = run_program(data().train(run, {"--deadline", "1", "--resume"}));
  CHECK(refused.exit_code == 2);
  CHECK(refused.error_line().find("--resume") != std::string::npos);
}

TEST_CASE("train transformer: damaged samples are named and left out, up to --max-bad") {
  data().write_config(2, 32, {{"steps", 1}, {"learning_rate", 1e-3}});
  ScratchDir scratch;
  fs::copy(data().at("shards"), scratch / "shards");
  std::string bytes = content_of(scratch / "shards/000000.tokens");
  for (int i : {3, 9}) bytes[bytes.find(data().shapes[static_cast<size_t>(i)].caption)] = 'X';
  std::ofstream(scratch / "shards/000000.tokens", std::ios::binary) << bytes;
  auto train = data().train((scratch / "run").string(), {"--max-bad", "0.1", "--progress", "plain"});
  std::erase(train, "--quiet");
  train[7] = (scratch / "shards").string();
  const auto result = run_program(train);
  CAPTURE(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("skipped: ") != std::string::npos);
  train.back() = "plain";
  train[train.size() - 3] = "0.04";  // one of 32
  train.push_back("--resume");
  const auto refused = run_program(train);
  CHECK(refused.exit_code == 3);
  CHECK(refused.error_line().find("--max-bad") != std::string::npos);
}

TEST_SUITE("long") {
  // Minutes: 5 million parameters.
  TEST_CASE(
      "a transformer of 5 million parameters follows its golden loss curve and learns 32 drawn shapes by "
      "heart") {
    ScratchDir scratch;
    data().write_config(
        6, 256, {{"steps", 150}, {"learning_rate", {{"kind", "constant"}, {"first", 1e-3}, {"warmup", 10}}}});
    succeeds(data().train((scratch / "run").string()), {.most_seconds = 7000});
    const json info = json::parse(run_program({"info", "--json", (scratch / "run/model").string()}).out);
    CHECK(info["parts"][0]["parameters"].get<double>() == doctest::Approx(5.0e6).epsilon(0.05));

    const auto losses = losses_of(scratch / "run");
    // Of this program; its gradients are checked against finite differences in
    // tests/transformer/test_model.cc.
    const double golden_curve[] = {6.18997, 5.52598, 4.84991, 4.41551, 4.00655,
                                   3.85480, 3.43145, 3.25627, 2.85654, 2.93046};
    REQUIRE(losses.size() == 150);
    for (size_t step = 0; step < std::size(golden_curve); ++step) {
      CAPTURE(step);
      CHECK(losses[step] == doctest::Approx(golden_curve[step]).epsilon(1e-3));
    }
    const auto rows = read_metrics(scratch / "run/metrics.jsonl");  // the last two steps see every pair once
    const double nats =
        (rows[148].at("image_nats").get<double>() + rows[149].at("image_nats").get<double>()) / 2;
    CHECK(nats < 0.05);
    CHECK(data().remembered((scratch / "run/model").string()) == 32);
  }
}
