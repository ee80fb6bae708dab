// dalle1 rank, classify, embed, train clip and bench clip as their users run them.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "tests/support/exif.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using nlohmann::json;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

std::string write_noise(const fs::path& path, uint32_t seed) {
  Image picture(40, 48, 3);
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] =
        static_cast<uint8_t>(random_block(seed, Stream::test, static_cast<uint32_t>(i / 64), 0, 0)[0]);
  write_png(path, picture);
  return path.string();
}

test::ProgramResult run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin() + 1, {"--model", test::tiny_model().string(), "--quiet"});
  return test::run_program(arguments);
}

std::vector<float> unit_rows(const NpyArray& features) {
  auto values = features.to_f32();
  const auto width = static_cast<size_t>(features.shape[1]);
  for (size_t row = 0; row < values.size(); row += width) {
    double sum = 0;
    for (size_t i = 0; i < width; ++i) sum += double{values[row + i]} * values[row + i];
    for (size_t i = 0; i < width; ++i) values[row + i] /= static_cast<float>(std::sqrt(sum));
  }
  return values;
}

}  // namespace

TEST_CASE("rank orders pictures by the cosine of the features that embed writes; one colour comes last") {
  ScratchDir scratch;
  const auto first = write_noise(scratch / "first.png", 1), second = write_noise(scratch / "second.png", 2);
  const auto flat = (scratch / "flat.png").string();
  Image nearly_flat(40, 40, 3, 90);
  nearly_flat.at(7, 7)[1] = 91;  // what rounding makes of one colour
  write_png(flat, nearly_flat);
  const auto ranked = run({"rank", "--json", "--prompt", "a red cat", flat, first, second});
  REQUIRE(ranked.exit_code == 0);
  const auto rows = json::parse(ranked.out)["pictures"];
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["cosine"].get<double>() >= rows[1]["cosine"].get<double>());
  CHECK(rows[2]["picture"] == flat);
  CHECK(rows[2]["constant"] == true);

  REQUIRE(run({"embed", first, second, "--out", (scratch / "pictures.npy").string()}).exit_code == 0);
  REQUIRE(run({"embed", "--text", "a red cat", "--out", (scratch / "text.npy").string()}).exit_code == 0);
  const auto pictures = read_npy(scratch / "pictures.npy"), text = read_npy(scratch / "text.npy");
  REQUIRE(pictures.shape == std::vector<int64_t>{2, 32});
  REQUIRE(text.shape == std::vector<int64_t>{1, 32});
  const auto a = unit_rows(pictures), b = unit_rows(text);
  for (const auto& row : rows) {
    if (row["picture"] == flat) continue;
    const size_t offset = row["picture"] == first ? 0 : 32;
    double cosine = 0;
    for (size_t i = 0; i < 32; ++i) cosine += double{a[offset + i]} * b[i];
    CHECK(row["cosine"].get<double>() == doctest::Approx(cosine).epsilon(1e-4).scale(1));
    CHECK(row["logit"].get<double>() == doctest::Approx(cosine / 0.07).epsilon(1e-3).scale(1));
  }
}

TEST_CASE("a picture that cannot be read is named, and the rest is ranked") {
  ScratchDir scratch;
  write_file_atomically(scratch / "broken.png", "no picture");
  const auto good = write_noise(scratch / "good.png", 1);
  const auto ranked = run({"rank", "--prompt", "a red cat", (scratch / "broken.png").string(), good});
  CHECK(ranked.exit_code == 7);
  CHECK(ranked.out.find(good) != std::string::npos);
  CHECK(ranked.err.find("broken.png") != std::string::npos);
  CHECK(ranked.error_lines() == 1);
  CHECK(run({"rank", "--prompt", "a red cat", (scratch / "broken.png").string()}).exit_code == 3);
}

TEST_CASE("names that are not UTF-8 are read, and shown as far as they go") {
  ScratchDir scratch;
  const auto first = write_noise(scratch / "b\xe9.png", 1), second = write_noise(scratch / "c.png", 2);
  const auto features = (scratch / "f\xe9.npy").string();
  const auto documents = {run({"rank", "--json", "--prompt", "a red cat", first, second}),
                          run({"classify", "--json", "--labels", "a red cat,a blue star", first}),
                          run({"embed", "--json", first, "--out", features})};
  for (const auto& result : documents) {
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK(json::parse(result.out).dump().find("\uFFFD") != std::string::npos);
  }
}

TEST_CASE("rank says no to what cannot be ranked") {
  ScratchDir scratch;
  write_png(scratch / "flat.png", Image(40, 40, 3, 90));
  CHECK(run({"rank", "--prompt", "a red cat", (scratch / "flat.png").string()}).exit_code == 4);
  const auto good = write_noise(scratch / "good.png", 1);
  std::string prompt = "red";
  for (int i = 0; i < 40; ++i) prompt += " red";
  CHECK(run({"rank", "--prompt", prompt, good}).exit_code == 3);
  CHECK(run({"rank", "--truncate", "--prompt", prompt, good}).exit_code == 0);
}

TEST_CASE("classify gives probabilities over the labels") {
  ScratchDir scratch;
  const auto picture = write_noise(scratch / "picture.png", 1);
  const auto result = run({"classify", "--json", "--labels", "a red cat,a blue star", picture});
  REQUIRE(result.exit_code == 0);
  const auto labels = json::parse(result.out)["pictures"][0]["labels"];
  REQUIRE(labels.size() == 2);
  const double best = labels[0]["probability"], other = labels[1]["probability"];
  CHECK(best >= other);
  CHECK(best + other == doctest::Approx(1.0));
  CHECK(best / other ==
        doctest::Approx(
            std::exp((labels[0]["cosine"].get<double>() - labels[1]["cosine"].get<double>()) / 0.07))
            .epsilon(1e-2));
  CHECK(run({"classify", "--labels", "one", picture}).exit_code == 2);
}

TEST_CASE("embed gives the features of a published file, and needs its tokenizer for texts only") {
  ScratchDir scratch;
  const auto out = (scratch / "features.npy").string();
  auto embed = [&](std::vector<std::string> what) {
    what.insert(what.begin(), {"embed", "--quiet", "--out", out, "--clip",
                               test::golden("openai_clip_vit/small_jit.pt").string()});
    return test::run_program(what);
  };
  REQUIRE(embed({test::golden("openai_clip_vit/land300x200.png").string()}).exit_code == 0);
  const auto found = read_npy(out).to_f32();
  const auto expected = read_npy(test::golden("openai_clip_vit/small_image_features.npy")).to_f32();
  REQUIRE(found.size() == 64);
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(std::abs(found[i] - expected[i]) <= 1e-4f + 1e-4f * std::abs(expected[i]));
  const auto text = embed({"--text", "a red cat"});  // this file's vocabulary is smaller than the merges
  CHECK(text.exit_code == 4);
  CHECK(text.error_line().find("tokens") != std::string::npos);
}

TEST_CASE("a CLIP that does not say its activation or heads: never a silent number") {
  ScratchDir scratch;
  const auto out = (scratch / "features.npy").string();
  const auto file = test::golden("openai_clip_rn/rn_state_dict.pt").string();  // tensors alone
  const auto embed = [&](const std::string& clip, std::vector<std::string> more) {
    more.insert(more.begin(), {"embed", "--quiet", "--out", out, "--clip", clip,
                               test::golden("openai_clip_vit/land300x200.png").string()});
    return test::run_program(more);
  };
  const auto config = [&](const json& fields) {
    write_file_atomically(scratch / "config.json", fields.dump());
    return "clip=" + (scratch / "config.json").string();
  };
  const auto assumed = embed(file, {});
  CHECK(assumed.exit_code == 0);
  CHECK(assumed.err.find("note: ") == 0);
  CHECK(assumed.err.find("quick_gelu is taken") != std::string::npos);
  CHECK(assumed.err.find("give the configuration clip-gelu (--config clip=PRESET|FILE)") !=
        std::string::npos);
  const auto told = embed(file, {"--config", config({{"activation", "quick_gelu"}})});
  CHECK(told.exit_code == 0);
  CHECK(told.err.empty());
  for (const char* preset : {"clip=clip-quick-gelu", "clip-quick-gelu"}) {
    const auto by_preset = embed(file, {"--config", preset});
    CHECK(by_preset.exit_code == 0);
    CHECK(by_preset.err.empty());
  }
  CHECK(embed(file, {"--config", config({{"no_such_field", 1}})}).error_line().find("'no_such_field'") !=
        std::string::npos);
  const auto wrong = embed(file, {"--config", config({{"vision_heads", 3}})});
  CHECK(wrong.exit_code == 4);
  CHECK(wrong.error_line().find("vision_heads") != std::string::npos);
  const auto other = embed(file, {"--config", "clip=clip-vit-b-32"});
  CHECK(other.exit_code == 4);
  CHECK(other.error_line().find("but the file has") != std::string::npos);
  // A configuration of another part is none of CLIP's.
  CHECK(embed(file, {"--config", "dalle1-5m"}).exit_code == 0);
  // What the archive says of itself cannot be told otherwise without numbers changing.
  const auto jit = test::golden("openai_clip_vit/small_jit.pt").string();
  REQUIRE(embed(jit, {}).exit_code == 0);
  const auto plain = read_npy(out).to_f32();
  REQUIRE(embed(jit, {"--config", config({{"vision_heads", 4}})}).exit_code == 0);
  CHECK(read_npy(out).to_f32() != plain);
  REQUIRE(embed(jit, {"--config", config({{"activation", "gelu"}})}).exit_code == 0);
  CHECK(read_npy(out).to_f32() != plain);
  const auto info = test::run_program({"info", jit, "--config", config({{"vision_heads", 4}})});
  CHECK(info.out.find("vision_heads = 4") != std::string::npos);
  CHECK(info.out.find("activation = quick_gelu") != std::string::npos);
  const auto native = test::run_program({"info", test::tiny_model().string()});
  CHECK(native.out.find("vision_heads = 1") != std::string::npos);
}

TEST_CASE("files that are something else are called what they are") {
  ScratchDir scratch;
  const auto write = [&](const char* name, const std::string& content) {
    write_file_atomically(scratch / name, content);
    return (scratch / name).string();
  };
  const auto pointer = write("lfs.pt", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
  const auto page = write("page.pt", "<!DOCTYPE html><html>Sign in</html>");
  const auto packed = write("model.pt.gz", "\x1f\x8b\x08 packed");
  const auto good = write_noise(scratch / "good.png", 1);
  const auto says = [&](const std::vector<std::string>& arguments, int code, const char* words) {
    const auto result = test::run_program(arguments);
    CAPTURE(result.err);
    CHECK(result.exit_code == code);
    CHECK(result.error_line().find(words) != std::string::npos);
  };
  says({"rank", "--clip", pointer, "--prompt", "x", good}, 4, "git lfs pull");
  says({"rank", "--clip", page, "--prompt", "x", good}, 4, "an HTML page");
  says({"rank", "--clip", packed, "--prompt", "x", good}, 4, "gunzip");
  says({"rank", "--clip", good, "--prompt", "x", good}, 4, "a PNG picture");
  says({"info", pointer}, 4, "git lfs pull");
  says({"convert", pointer, "--out", (scratch / "out").string()}, 4, "git lfs pull");
  says({"reconstruct", "--dvae", page, good, "--out", (scratch / "o.png").string()}, 4, "an HTML page");
  says({"rank", "--prompt", "x", pointer}, 3, "git lfs pull");
  says({"tokenize", "--tokenizer", pointer, "--print", "x"}, 4, "git lfs pull");
  says({"tokenize", "--clip", page, "--print", "x"}, 4, "an HTML page");
  says({"decode", pointer, "--out", (scratch / "o.png").string()}, 3, "git lfs pull");
}

TEST_CASE("a picture is ranked as its EXIF turns it") {
  ScratchDir scratch;
  // The upper half is dark in `upright`; `phone` has the same picture lying on its side.
  Image upright(32, 48, 3, 40), lying(48, 32, 3, 40);
  for (int y = 24; y < 48; ++y)
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) upright.at(x, y)[c] = static_cast<uint8_t>(200 + x);
      for (int c = 0; c < 3; ++c) lying.at(y, 31 - x)[c] = upright.at(x, y)[c];
    }
  write_png(scratch / "upright.png", upright);
  const auto phone = test::with_exif(encode_png(lying), test::tiff(false, 6));
  write_file_atomically(scratch / "phone.png", {reinterpret_cast<const char*>(phone.data()), phone.size()});
  const auto ranked = run({"rank", "--json", "--prompt", "a red cat", (scratch / "phone.png").string(),
                           (scratch / "upright.png").string()});
  REQUIRE(ranked.exit_code == 0);
  const auto rows = json::parse(ranked.out)["pictures"];
  CHECK(rows[0]["cosine"] == rows[1]["cosine"]);
}

TEST_CASE("train clip writes a model that rank takes") {
  ScratchDir scratch;
  fs::create_directories(scratch / "data");
  std::string lines;
  for (uint32_t i = 0; i < 6; ++i) {
    write_noise(scratch / "data" / (std::to_string(i) + ".png"), i);
    lines +=
        json{{"image", std::to_string(i) + ".png"}, {"caption", i % 2 ? "a red cat" : "a blue star"}}.dump() +
        "\n";
  }
  write_file_atomically(scratch / "data/captions.jsonl", lines);
  const json config = {{"embed_dim", 16},
                       {"image_resolution", 32},
                       {"vision_layers", 1},
                       {"vision_width", 64},
                       {"vision_patch_size", 16},
                       {"context_length", 12},
                       {"transformer_width", 32},
                       {"transformer_heads", 1},
                       {"transformer_layers", 1},
                       {"train", {{"steps", 2}, {"batch", 2}, {"evaluate_pairs", 2}, {"evaluate_group", 2}}}};
  write_file_atomically(scratch / "clip.json", config.dump());
  const std::vector<std::string> arguments = {"train",
                                              "clip",
                                              "--quiet",
                                              "--config",
                                              (scratch / "clip.json").string(),
                                              "--data",
                                              (scratch / "data").string(),
                                              "--tokenizer",
                                              (test::tiny_model() / "text.model").string(),
                                              "--out",
                                              (scratch / "run").string()};
  REQUIRE(test::run_program(arguments).exit_code == 0);
  CHECK(test::run_program(arguments).exit_code == 2);  // the folder is not empty
  const auto ranked = test::run_program({"rank", "--quiet", "--clip", (scratch / "run/model").string(),
                                         "--prompt", "a red cat", (scratch / "data/1.png").string()});
  CHECK(ranked.exit_code == 0);
}
