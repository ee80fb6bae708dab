// dalle1 score: figures of pictures with captions, against the features that embed writes.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "clip/picture_scores.h"
#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/random/philox.h"
#include "rerank/results.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

constexpr int kNoise = 6;

// Accepts pictures with an even number; cannot check poems.
constexpr char kEvenIsRight[] =
    "#!/bin/bash\n"
    "while read -r line; do\n"
    "  case \"$line\" in *poem*) echo '{\"right\": null}';;\n"
    "    *[02468].png*) echo '{\"right\": true}';;\n"
    "    *) echo '{\"right\": false}';; esac\n"
    "done\n";

struct Pictures {
  ScratchDir scratch;
  std::vector<std::string> files, captions;

  explicit Pictures(uint32_t seed = 1) {
    fs::create_directories(scratch / "data");
    std::ofstream lines(scratch / "data/captions.jsonl");
    RandomStream random(seed, Stream::test);
    const char* const colours[] = {"red", "green", "blue"};
    for (int i = 0; i < kNoise; ++i) {
      Image picture(40 + 3 * i, 48, 3);
      for (auto& value : picture.pixels) value = static_cast<uint8_t>(random.below(256));
      files.push_back((scratch / fmt::format("data/{}.png", i)).string());
      captions.push_back(i == 5 ? "a poem" : fmt::format("a {} cat", colours[i % 3]));
      write_png(files.back(), picture);
      lines << json{{"image", fmt::format("{}.png", i)}, {"caption", captions.back()}}.dump() << "\n";
    }
    std::ofstream(scratch / "check") << kEvenIsRight;
    chmod((scratch / "check").c_str(), 0755);
  }
  std::string at(const std::string& name) const { return (scratch / name).string(); }
};

// Whose CLIP takes "A photo depicts " before a caption.
const fs::path& model_of_long_texts() {
  static const ScratchDir scratch;
  static const fs::path path = [] {
    test::TinyModel model;
    model.layers = 4;
    model.text_length = 40;
    test::write_tiny_model(scratch / "model", model);
    return scratch / "model";
  }();
  return path;
}

test::ProgramResult run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin() + 1, {"--model", model_of_long_texts().string(), "--quiet"});
  return test::run_program(arguments);
}

json score(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"score", "--json", "--captions"});
  const auto result = run(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return json::parse(result.out);
}

void refused(const test::ProgramResult& result, int exit_code, const std::string& what) {
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.error_line().find(what) != std::string::npos);
}

// Features by the command embed, [N, 32].
std::vector<float> embedded(std::vector<std::string> what, const std::string& out) {
  std::vector<std::string> arguments = {"embed", "--out", out};
  arguments.insert(arguments.end(), what.begin(), what.end());
  const auto result = run(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return read_npy(out).to_f32();
}

double cosine(const float* a, const float* b) {
  double dot = 0, of_a = 0, of_b = 0;
  for (int i = 0; i < 32; ++i) {
    dot += double{a[i]} * b[i];
    of_a += double{a[i]} * a[i];
    of_b += double{b[i]} * b[i];
  }
  return dot / std::sqrt(of_a * of_b);
}

}  // namespace

TEST_CASE("clip-s and clipscore are those of the features that embed writes, with means and intervals") {
  const Pictures pictures;
  const auto images = embedded(pictures.files, pictures.at("images.npy"));
  std::vector<std::string> plain, prefixed;
  for (const auto& caption : pictures.captions) {
    plain.insert(plain.end(), {"--text", caption});
    prefixed.insert(prefixed.end(), {"--text", "A photo depicts " + caption});
  }
  const auto texts = embedded(plain, pictures.at("texts.npy"));
  const auto depicted = embedded(prefixed, pictures.at("depicted.npy"));
  const auto document = score({pictures.at("data")});
  REQUIRE(document["pictures"].size() == kNoise);
  double sum = 0, squares = 0, clip_score = 0;
  for (size_t i = 0; i < kNoise; ++i) {
    const auto& row = document["pictures"][i];
    CHECK(row["image"] == pictures.files[i]);
    CHECK(row["caption"] == pictures.captions[i]);
    const double expected = 100 * cosine(&images[32 * i], &texts[32 * i]);
    const double published = 2.5 * std::max(0.0, cosine(&images[32 * i], &depicted[32 * i]));
    CHECK(row["clip-s"].get<double>() == doctest::Approx(expected).epsilon(1e-4));
    CHECK(row["clipscore"].get<double>() == doctest::Approx(published).epsilon(1e-4));
    sum += expected;
    squares += expected * expected;
    clip_score += published;
  }
  const auto& metric = document["metrics"]["clip-s"];
  const double mean = sum / kNoise, deviation = std::sqrt((squares - sum * mean) / (kNoise - 1));
  CHECK(metric["value"].get<double>() == doctest::Approx(mean).epsilon(1e-4));
  CHECK(metric["high"].get<double>() - mean ==
        doctest::Approx(1.96 * deviation / std::sqrt(kNoise)).epsilon(1e-3));
  CHECK(metric["pictures"] == kNoise);
  CHECK(document["metrics"]["clipscore"]["value"].get<double>() ==
        doctest::Approx(clip_score / kNoise).epsilon(1e-4));
  CHECK(document["metrics"].size() == 2);

  // The same pictures with captions from elsewhere.
  fs::rename(pictures.scratch / "data/captions.jsonl", pictures.scratch / "list.jsonl");
  const auto again = score({pictures.at("list.jsonl"), "--images", pictures.at("data")});
  CHECK(again["metrics"] == document["metrics"]);
}

TEST_CASE("the Frechet distance is that of embed's features, and 0 to oneself") {
  const Pictures pictures(1), others(2);
  const auto ours = embedded(pictures.files, pictures.at("a.npy"));
  const auto theirs = embedded(others.files, others.at("b.npy"));
  const auto measured = [](const Pictures& of, const Pictures& to) {
    return score({of.at("data"), "--metric", "frechet", "--reference", to.at("data")})["metrics"]["frechet"];
  };
  const double expected = clip::frechet_distance(ours, theirs, 32);
  CHECK(expected > 0);
  CHECK(measured(pictures, others)["value"].get<double>() == doctest::Approx(expected).epsilon(1e-3));
  CHECK(measured(others, pictures)["value"].get<double>() == doctest::Approx(expected).epsilon(1e-3));
  CHECK(measured(pictures, pictures)["value"].get<double>() < 1e-5 * expected);
  CHECK(measured(pictures, others)["reference"] == kNoise);
}

TEST_CASE("right is the checker's share with its interval, of what it can check") {
  const Pictures pictures;
  const auto document = score({pictures.at("data"), "--metric", "right", "--checker", pictures.at("check")});
  const auto& right = document["metrics"]["right"];
  CHECK(right["right"] == 3);
  CHECK(right["pictures"] == 5);
  CHECK(right["unchecked"] == 1);
  CHECK(right["value"] == 0.6);
  CHECK(right["low"].get<double>() == doctest::Approx(0.2307).epsilon(1e-3));  // Wilson
  CHECK(document["pictures"][5]["right"].is_null());
  const auto table = run({"score", "--captions", pictures.at("data"), "--metric", "right,clip-s", "--checker",
                          pictures.at("check")});
  REQUIRE(table.exit_code == 0);
  CHECK(table.out.find("right         0.6000  0.2307 to 0.8824") != std::string::npos);
  CHECK(table.out.find("5  1 cannot be checked") != std::string::npos);
}

TEST_CASE("a run's pictures are scored with its prompt, the best of each prompt where asked") {
  const Pictures pictures;
  ScratchDir scratch;
  std::ofstream(scratch / "prompts.txt") << "a red cat\na blue house\n";
  REQUIRE(run({"sample", "--prompts", (scratch / "prompts.txt").string(), "--candidates", "4", "--keep", "3",
               "--out", (scratch / "run").string()})
              .exit_code == 0);
  const auto all = score({(scratch / "run").string()});
  REQUIRE(all["pictures"].size() == 6);
  const auto rows = rerank::read_results(scratch / "run/prompt-0001/results.jsonl");
  for (size_t i = 0; i < 3; ++i) {
    const auto& row = all["pictures"][3 + i];
    CHECK(row["caption"] == "a blue house");
    CHECK(row["image"] == (scratch / "run/prompt-0001" / rows[i].file).string());
    CHECK(row["clip-s"].get<double>() == doctest::Approx(100 * rows[i].scores[0].second).epsilon(1e-3));
  }
  const auto best = score({(scratch / "run").string(), "--keep", "1"});
  REQUIRE(best["pictures"].size() == 2);
  CHECK(best["pictures"][1] == all["pictures"][3]);
  CHECK(score({(scratch / "run/prompt-0000").string()})["pictures"].size() == 3);
}

TEST_CASE("score refuses what it cannot work with in one line") {
  const Pictures pictures;
  const auto score_of = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"score", "--captions", pictures.at("data")});
    return run(more);
  };
  refused(score_of({"--metric", "beauty"}), 2, "beauty");
  refused(score_of({"--metric", "right"}), 2, "--metric right needs --checker PROGRAM");
  refused(score_of({"--metric", "right", "--checker", pictures.at("absent")}), 2, "cannot be run");
  refused(score_of({"--metric", "right", "--checker", "/bin/false"}), 3, "the checker /bin/false");
  refused(score_of({"--metric", "frechet"}), 2, "give --reference FOLDER");
  refused(score_of({"--reference", pictures.at("data")}), 2, "--reference does nothing");
  refused(score_of({"--keep", "2"}), 2, "is no folder of a run");
  refused(score_of({"--images", pictures.at("data")}), 2, "goes with a captions.jsonl");
  fs::create_directories(pictures.scratch / "one");
  refused(run({"score", "--captions", pictures.at("one")}), 3, "holds no .png or .jpg pictures");
  fs::copy_file(pictures.files[0], pictures.scratch / "one/0.png");
  refused(run({"score", "--captions", pictures.at("one")}), 3, "the picture has no caption");
  refused(score_of({"--metric", "frechet", "--reference", pictures.at("one")}), 3, "two pictures or more");
  std::ofstream caption(pictures.scratch / "one/0.txt");
  for (int i = 0; i < 20; ++i) caption << "a red cat ";
  caption.close();
  refused(run({"score", "--captions", pictures.at("one")}), 3, "--truncate");
  CHECK(run({"score", "--captions", pictures.at("one"), "--truncate"}).exit_code == 0);
  test::write_tar(pictures.scratch / "a.tar", {{"0.png", test::png_of(7)}, {"0.txt", "a red cat"}});
  refused(run({"score", "--captions", pictures.at("a.tar"), "--metric", "right", "--checker",
               pictures.at("check")}),
          3, "a member of a tar file");
}
