// dalle1 convert and info from end to end: a published file, its native copy, and the same numbers from both.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/data/npy.h"
#include "core/image/image.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"

namespace dalle1::test {
namespace {

using nlohmann::json;

std::string path(const std::string& name) { return golden(name).string(); }

void converts(std::vector<std::string> arguments, const std::filesystem::path& out) {
  arguments.insert(arguments.begin(), "convert");
  arguments.insert(arguments.end(), {"--out", out.string()});
  const auto result = run_program(arguments);
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out == out.string() + "\n");
}

}  // namespace

TEST_CASE("convert: OpenAI's dVAE encodes to the golden tokens as a native copy") {
  ScratchDir scratch;
  converts({path("openai_dvae/encoder_legacy.pkl"), path("openai_dvae/decoder_legacy.pkl")},
           scratch / "dvae");
  const auto result = run_program({"encode", path("openai_dvae/legacy_img48.png"), "--dvae",
                                   (scratch / "dvae").string(), "--out", (scratch / "tokens.npy").string()});
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  const NpyArray tokens = read_npy(scratch / "tokens.npy");
  const NpyArray expected = read_npy(golden("openai_dvae/legacy_img48_tokens.npy"));
  CHECK(tokens.shape == expected.shape);
  CHECK(tokens.bytes == expected.bytes);
}

TEST_CASE("convert: OpenAI's CLIP embeds the golden pictures as a native copy, in every stored type") {
  struct Published {
    const char *file, *features;
    std::vector<std::string> pictures;
  };
  const Published vit = {"openai_clip_vit/small_jit.pt",
                         "openai_clip_vit/small_image_features.npy",
                         {"land300x200", "port97x181", "small24", "gray131x130", "rgba160x120", "pal90x140"}};
  const Published resnet = {"openai_clip_rn/rn_jit.pt",
                            "openai_clip_rn/rn_image_features.npy",
                            {"land300x200", "port97x181", "small24", "gray131x130"}};
  for (const Published& clip : {vit, resnet}) {
    CAPTURE(clip.file);
    ScratchDir scratch;
    converts({path(clip.file)}, scratch / "clip");
    const auto embed = [&](const std::filesystem::path& model) {
      std::vector<std::string> arguments = {"embed",        "--quiet", "--clip",
                                            model.string(), "--out",   (scratch / "features.npy").string()};
      const std::string folder = std::filesystem::path(clip.file).parent_path().string();
      for (const std::string& name : clip.pictures) arguments.push_back(path(folder + "/" + name + ".png"));
      const auto result = run_program(arguments);
      CAPTURE(result.err);
      REQUIRE(result.exit_code == 0);
      return read_npy(scratch / "features.npy");
    };
    const NpyArray found = embed(scratch / "clip"), golden_features = read_npy(golden(clip.features));
    REQUIRE(found.shape == golden_features.shape);
    const auto values = found.to_f32(), expected = golden_features.to_f32();
    for (size_t i = 0; i < values.size(); ++i)
      CHECK(std::abs(values[i] - expected[i]) <= 1e-4f + 1e-4f * std::abs(expected[i]));
    // Several layers, each with weights rounded to 2^-11 or 2^-8 of them, or to 1/254 of the largest of a
    // row.
    for (const auto& [dtype, most] : {std::pair{"f16", 0x1p-9}, {"bf16", 0x1p-6}, {"i8", 2e-2}}) {
      CAPTURE(dtype);
      const auto narrow = scratch / dtype;
      converts({(scratch / "clip").string(), "--dtype", dtype}, narrow);
      const auto rounded = embed(narrow).to_f32();
      double error = 0, size = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        error += std::pow(rounded[i] - values[i], 2);
        size += std::pow(values[i], 2);
      }
      CHECK(std::sqrt(error / size) < most);
    }
  }
}

TEST_CASE("convert: ru-dalle's wavelet VQGAN encodes and decodes as a native copy as published") {
  ScratchDir scratch;
  converts(
      {path("rudalle_vqgan/vqgan_f8_dwt.ckpt"), "--config", path("rudalle_vqgan/vqgan_f8_dwt_config.yml")},
      scratch / "vqgan");
  const std::string model = (scratch / "vqgan").string(), out = (scratch / "tokens.npy").string();
  const auto encoded =
      run_program({"encode", path("rudalle_vqgan/vqgan_f8_dwt.png"), "--dvae", model, "--out", out});
  CAPTURE(encoded.err);
  REQUIRE(encoded.exit_code == 0);
  CHECK(read_npy(out).to_i64() == read_npy(golden("rudalle_vqgan/vqgan_f8_dwt_indices.npy")).to_i64());

  const NpyArray sequences = read_npy(golden("rudalle_vqgan/vqgan_f8_dwt_seq.npy"));
  write_npy(out, {2, 8, 8}, sequences.to_i64());
  const auto decoded = run_program({"decode", out, "--dvae", model, "--out", (scratch / "p.png").string()});
  CAPTURE(decoded.err);
  REQUIRE(decoded.exit_code == 0);
  const auto expected = read_npy(golden("rudalle_vqgan/vqgan_f8_dwt_decoded.npy")).to_f32();  // [2, 3, H, W]
  for (int64_t b = 0; b < 2; ++b) {
    const Image picture = read_image(scratch / ("p-00" + std::to_string(b) + ".png"));
    const int64_t plane = int64_t{picture.width} * picture.height;
    REQUIRE(static_cast<int64_t>(expected.size()) == 6 * plane);
    double worst = 0;
    for (int64_t at = 0; at < 3 * plane; ++at) {
      const double wanted = 255.0 * expected[(b * 3 + at % 3) * plane + at / 3];
      worst = std::max(worst, std::abs(picture.pixels[at] - wanted));
    }
    CHECK(worst < 1.1);
  }
}

TEST_CASE("convert: a ru-dalle model of three published files is one native directory") {
  ScratchDir scratch;
  const auto out = scratch / "model";
  converts({path("rudalle/grid8_v2.bin"), path("rudalle_vqgan/vqgan_f8_dwt.ckpt"), path("yttm/bpe.model"),
            "--config", "transformer=" + path("rudalle/grid8_v2_config.json"), "--config",
            "dvae=" + path("rudalle_vqgan/vqgan_f8_dwt_config.yml")},
           out);
  const auto logits =
      run_program({"logits", "--transformer", out.string(), "--ids", path("rudalle/grid8_v2_ids.npy"),
                   "--out", (scratch / "logits.npy").string()});
  CAPTURE(logits.err);
  REQUIRE(logits.exit_code == 0);
  const NpyArray golden_logits = read_npy(golden("rudalle/grid8_v2_logits.npy"));
  const NpyArray own_logits = read_npy(scratch / "logits.npy");
  const auto expected = golden_logits.values<float>(), values = own_logits.values<float>();
  REQUIRE(values.size() == expected.size());
  float worst = 0;
  for (size_t i = 0; i < values.size(); ++i) worst = std::max(worst, std::abs(values[i] - expected[i]));
  CHECK(worst < 1e-3f);

  converts({out.string(), "--dtype", "i8"}, scratch / "narrow");
  const auto info = run_program({"info", (scratch / "narrow").string(), "--json"});
  REQUIRE(info.exit_code == 0);
  const json document = json::parse(info.out);
  CHECK(document["parts"].size() == 2);
  CHECK(document["tokenizer"]["kind"] == "yttm");
  CHECK(document["model"]["provenance"]["converted_from"].size() == 3);
  for (const json& part : document["parts"]) CHECK(part["dtypes"].contains("i8"));
}

TEST_CASE("convert and info: refusals are one line with the contract's exit code") {
  ScratchDir scratch;
  const auto refused = [&](const std::vector<std::string>& arguments, int code, const std::string& part) {
    const auto result = run_program(arguments);
    CAPTURE(result.err);
    CHECK(result.exit_code == code);
    CHECK(result.error_lines() == 1);
    CHECK(result.err.find(part) != std::string::npos);
  };
  const auto out = (scratch / "out").string();
  refused({"convert", path("rudalle/grid8_v2.bin"), "--config", "dalle1-5m", "--out", out}, 4, "missing");
  refused({"convert", path("rudalle/grid8_v2.bin"), "--out", out}, 4, "add --config");
  refused({"convert", path("openai_dvae/encoder_legacy.pkl"), "--out", out}, 4, "missing");
  refused({"convert", path("yttm/bpe.model"), "--out", out}, 4, "no checkpoint");
  refused({"convert", path("openai_clip_rn/rn_jit.pt"), "--out", golden("yttm").string()}, 2, "is not empty");
  refused({"info", path("yttm/README.md")}, 4, "neither safetensors nor a PyTorch file");
  refused({"info", out}, 4, "cannot be opened");
  refused({"info", path("rudalle/grid8_v2.bin"), "--config", "rudalle-malevich"}, 4, "layers.23.");
  refused({"info", "--config", "clip=dalle1-5m"}, 2, "dalle1-5m is a transformer");
  refused({"info", "--config", "eye=dalle1-5m"}, 2, "there is no part 'eye'");
  refused({"info", "--config", path("rudalle_vqgan/vqgan_f8_dwt_config.yml")}, 4, "together with its file");
  refused({"info"}, 2, "--config");
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("info: every published file that is kept here is named rightly") {
  struct Known {
    const char *file, *config, *part, *format;
    int64_t parameters;
  };
  for (const Known& known :
       {Known{"openai_dvae/encoder_legacy.pkl", "", "dvae", "openai-dvae", 51146},
        {"openai_dvae/decoder_legacy.pkl", "", "dvae", "openai-dvae", 31592},
        {"openai_clip_vit/small_jit.pt", "", "clip", "openai-clip", 684161},
        {"openai_clip_rn/rn_jit.pt", "", "clip", "openai-clip", 498845},
        {"rudalle/grid8_plain.bin", "rudalle/grid8_plain_config.json", "transformer", "rudalle", 128446},
        {"rudalle/grid8_v2.bin", "rudalle/grid8_v2_config.json", "transformer", "rudalle", 129214},
        {"rudalle/grid8_six_layers.bin", "rudalle/grid8_six_layers_config.json", "transformer", "rudalle",
         83120},
        {"rudalle_vqgan/vqgan_f8_dwt.ckpt", "", "dvae", "rudalle-vqgan-dwt", 406252}}) {
    CAPTURE(known.file);
    std::vector<std::string> arguments = {"info", path(known.file), "--json"};
    if (*known.config) arguments.insert(arguments.end(), {"--config", path(known.config)});
    const auto result = run_program(arguments);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
    const json document = json::parse(result.out);
    REQUIRE(document["parts"].size() == 1);
    CHECK(document["parts"][0]["part"] == known.part);
    CHECK(document["parts"][0]["format"] == known.format);
    CHECK(document["parts"][0]["parameters"] == known.parameters);
    CHECK(document["files"][0]["sha256"].get<std::string>().size() == 64);
  }
  const auto clip_tokenizer =
      (std::filesystem::path(DALLE1_SOURCE_DIR) / "weights/tokenizers/clip_bpe.txt.gz").string();
  for (const auto& [file, kind] : {std::pair{path("yttm/bpe.model"), "yttm"}, {clip_tokenizer, "clip_bpe"}}) {
    const auto result = run_program({"info", file, "--json"});
    REQUIRE(result.exit_code == 0);
    CHECK(json::parse(result.out)["tokenizer"]["kind"] == kind);
  }
}

TEST_CASE("info: text for people has every figure once, and --tensors every tensor") {
  const auto result = run_program(
      {"info", path("rudalle/grid8_v2.bin"), "--config", path("rudalle/grid8_v2_config.json"), "--tensors"});
  REQUIRE(result.exit_code == 0);
  const auto count = [&](const std::string& text) {
    size_t found = 0;
    for (size_t at = result.out.find(text); at != result.out.npos; at = result.out.find(text, at + 1))
      ++found;
    return found;
  };
  CHECK(count("parameters") == 1);
  CHECK(count("cache ") == 1);
  CHECK(count("FLOPs") == 1);
  CHECK(count("layers.3.attention.qkv.weight f32 [144, 48]") == 1);
  CHECK(count(" f32 [") == 75);
}

TEST_CASE("info: a configuration may be named with its part, and ru-dalle's arguments are one") {
  const auto told = [](const std::string& config) {
    const auto result = run_program({"info", "--config", config, "--json"});
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
    return json::parse(result.out);
  };
  CHECK(told("clip=clip-rn50") == told("clip-rn50"));
  CHECK(told("clip-rn50")["part"] == "clip");
  const json published = told("transformer=" + path("rudalle/grid8_v2_config.json"));
  CHECK(published == told(path("rudalle/grid8_v2_config.json")));
  CHECK(published["part"] == "transformer");
  CHECK(published["costs"]["parameters"] == 129214);
}

TEST_CASE("info: the paper's model has 12.3 billion parameters and no file") {
  const auto result = run_program({"info", "--config", "dalle1-12b", "--json"});
  REQUIRE(result.exit_code == 0);
  const json costs = json::parse(result.out)["costs"];
  CHECK(costs["parameters"].get<double>() == doctest::Approx(12.294e9).epsilon(1e-4));
  CHECK(costs["weight_bytes"]["bf16"].get<double>() == doctest::Approx(24.59e9).epsilon(1e-3));
  CHECK(costs["flops_per_image"].get<double>() == doctest::Approx(25.13e12).epsilon(5e-3));
  CHECK(costs["cache_bytes_per_candidate"]["bf16"].get<double>() == doctest::Approx(287.3e6).epsilon(5e-3));
}

}  // namespace dalle1::test
