// dalle1 convert and info from end to end: a published file, its native copy, and the same numbers from both.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/data/npy.h"
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
  refused({"info"}, 2, "--config");
  CHECK_FALSE(std::filesystem::exists(out));
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
