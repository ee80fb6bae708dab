// dalle1 encode, decode, reconstruct and train dvae, as their users run them.
#include <doctest/doctest.h>

#include <fstream>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/train/metrics.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"

using namespace dalle1;
using test::golden;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::string published_pair() {
  return golden("openai_dvae/encoder_legacy.pkl").string() + "," +
         golden("openai_dvae/decoder_legacy.pkl").string();
}

test::ProgramResult encode(const fs::path& picture, const fs::path& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"encode",         picture.string(), "--dvae",
                                        published_pair(), "--out",          out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

// A disc of one of a few colours on another.
void write_disc(const fs::path& path, int number) {
  Image image(32, 32, 3);
  const int radius = 6 + number % 7, cx = 10 + number % 11, cy = 12 + number % 9;
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) {
      const bool inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius;
      for (int c = 0; c < 3; ++c)
        image.at(x, y)[c] = static_cast<uint8_t>((number * (inside ? 37 : 91) + c * 80) % 256);
    }
  write_png(path, image);
}

void write_training_set(const fs::path& folder, int count) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) write_disc(folder / fmt::format("{:02}.png", i), i);
}

fs::path write_training_file(const fs::path& path) {
  std::ofstream(path) << R"({"hidden": 8, "decoder_init": 8, "groups": 2, "blocks_per_group": 1, "codes": 16,
    "post_gain": 0.25, "quantiser": "vq",
    "train": {"steps": 6, "batch": 4, "crop": 16, "resolution": 32, "learning_rate": 0.001, "log_every": 2,
              "evaluate_every": 3, "checkpoint_every": 3, "evaluate_pictures": 4, "sheet_pictures": 2,
              "vq": {"continuous_steps": 2, "dimensions": 4}}})";
  return path;
}

}  // namespace

TEST_CASE("encode and decode of the published pair give the published tokens and picture") {
  ScratchDir scratch;
  const auto tokens = scratch / "tokens.npy", logits = scratch / "logits.npy", out = scratch / "out.png";
  const auto encoded = encode(golden("openai_dvae/legacy_img48.png"), tokens, {"--logits", logits.string()});
  CHECK(encoded.exit_code == 0);
  CHECK(read_npy(tokens).to_i64() == read_npy(golden("openai_dvae/legacy_img48_tokens.npy")).to_i64());
  CHECK(read_npy(tokens).shape == std::vector<int64_t>{1, 6, 6});
  CHECK(read_npy(logits).shape == std::vector<int64_t>{1, 512, 6, 6});

  const auto stats = scratch / "stats.npy";
  const auto decoded = run_program({"decode", tokens.string(), "--dvae", published_pair(), "--out",
                                    out.string(), "--stats", stats.string()});
  CHECK(decoded.exit_code == 0);
  CHECK(decoded.out == out.string() + "\n");
  CHECK(read_npy(stats).shape == std::vector<int64_t>{1, 6, 48, 48});
  const Image picture = read_image(out), expected = read_image(golden("openai_dvae/legacy_img48_recon.png"));
  REQUIRE(picture.pixels.size() == expected.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < picture.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(picture.pixels[i] - expected.pixels[i]));
  }
  CHECK(worst <= 1);
}

TEST_CASE("several grids become numbered pictures") {
  ScratchDir scratch;
  const auto tokens = scratch / "tokens.npy";
  write_npy(tokens, {2, 1, 3}, std::vector<int64_t>{0, 1, 2, 3, 4, 511});
  const auto result = run_program(
      {"decode", tokens.string(), "--dvae", published_pair(), "--out", (scratch / "p.png").string()});
  CHECK(result.exit_code == 0);
  const Image first = read_image(scratch / "p-000.png");
  CHECK(first.width == 24);
  CHECK(first.height == 8);
  CHECK(fs::exists(scratch / "p-001.png"));
}

TEST_CASE("every kind of picture is encoded or refused with one line") {
  ScratchDir scratch;
  const auto out = scratch / "tokens.npy";
  for (const std::string name : {"grey.jpg", "palette4.png", "rgb16.png", "grey_alpha.png"}) {
    CAPTURE(name);
    CHECK(encode(golden("image/" + name), out, {"--size", "32"}).exit_code == 0);
    CHECK(read_npy(out).shape == std::vector<int64_t>{1, 4, 4});
  }
  Image dot(1, 1, 3);
  write_png(scratch / "dot.png", dot);
  const auto tiny = encode(scratch / "dot.png", scratch / "none.npy");
  CHECK(tiny.exit_code == 3);
  CHECK(tiny.error_line() == "dalle1: error: a picture of 1x1 is smaller than one code of 8x8");
  CHECK(encode(scratch / "dot.png", out, {"--size", "16"}).exit_code == 0);

  std::ofstream(scratch / "text.png") << "not a picture";
  CHECK(encode(scratch / "text.png", scratch / "none.npy").exit_code == 3);
  const std::string whole = test::content_of(golden("openai_dvae/legacy_img48.png"));
  std::ofstream(scratch / "half.png", std::ios::binary) << whole.substr(0, whole.size() / 2);
  const auto half = encode(scratch / "half.png", scratch / "none.npy");
  CHECK(half.exit_code == 3);
  CHECK(half.error_lines() == 1);
  CHECK_FALSE(fs::exists(scratch / "none.npy"));
}

TEST_CASE("pictures of different sizes are not encoded together without --size") {
  ScratchDir scratch;
  const std::string small = golden("openai_dvae/legacy_img48.png").string(),
                    wide = golden("image/grey.jpg").string();
  const auto result =
      run_program({"encode", small, wide, "--dvae", published_pair(), "--out", (scratch / "t.npy").string()});
  CHECK(result.exit_code == 3);
  CHECK(result.error_line().find("--size") != std::string::npos);
}

TEST_CASE("indices that are no codes are refused") {
  ScratchDir scratch;
  write_npy(scratch / "t.npy", {1, 1, 2}, std::vector<int64_t>{3, 512});
  const auto result = run_program({"decode", (scratch / "t.npy").string(), "--dvae", published_pair(),
                                   "--out", (scratch / "p.png").string()});
  CHECK(result.exit_code == 3);
  CHECK(result.error_line().find("index 512") != std::string::npos);
}

TEST_CASE("reconstruct draws a sheet and tells the PSNR") {
  ScratchDir scratch;
  const auto sheet = scratch / "sheet.png";
  const auto result = run_program({"reconstruct", golden("openai_dvae/legacy_img48.png").string(),
                                   golden("image/grey.jpg").string(), "--size", "48", "--dvae",
                                   published_pair(), "--out", sheet.string(), "--json"});
  CHECK(result.exit_code == 0);
  const auto document = nlohmann::json::parse(result.out);
  CHECK(document.at("pictures").size() == 2);
  CHECK(document.at("psnr").get<double>() > 0);
  CHECK(read_image(sheet).width > 96);
}

TEST_CASE("train dvae writes a model that reconstruct takes, and resumes") {
  ScratchDir scratch;
  write_training_set(scratch / "pictures", 20);
  const auto config = write_training_file(scratch / "dvae.json");
  const std::vector<std::string> train = {"train",    "dvae",
                                          "--config", config.string(),
                                          "--data",   (scratch / "pictures").string(),
                                          "--out",    (scratch / "run").string()};
  const auto result = run_program(train);
  CHECK(result.exit_code == 0);
  const auto rows = read_metrics(scratch / "run/metrics.jsonl");
  REQUIRE_FALSE(rows.empty());
  for (const char* key : {"step", "loss", "psnr", "ssim", "codes_used", "perplexity"}) {
    CAPTURE(key);
    CHECK(rows.back().contains(key));
  }
  CHECK(fs::exists(scratch / "run/sheets/step-000006.png"));
  const auto sheet =
      run_program({"reconstruct", (scratch / "pictures/00.png").string(), "--size", "32", "--dvae",
                   (scratch / "run/model").string(), "--out", (scratch / "sheet.png").string()});
  CHECK(sheet.exit_code == 0);

  CHECK(run_program(train).exit_code == 2);  // the folder is not empty
  auto resumed = train;
  resumed.push_back("--resume");
  CHECK(run_program(resumed).exit_code == 0);
}

TEST_CASE("train dvae names broken pictures and stops at too many") {
  ScratchDir scratch;
  write_training_set(scratch / "pictures", 20);
  for (int i = 0; i < 12; ++i) std::ofstream(scratch / fmt::format("pictures/{:02}.png", i)) << "broken";
  const auto config = write_training_file(scratch / "dvae.json");
  const auto result = run_program({"train", "dvae", "--config", config.string(), "--data",
                                   (scratch / "pictures").string(), "--out", (scratch / "run").string()});
  CHECK(result.exit_code == 3);
  CHECK(result.error_lines() == 1);
  CHECK(result.err.find("skipped: ") != std::string::npos);
}
