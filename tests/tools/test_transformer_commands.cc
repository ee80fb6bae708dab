// logits, masks, tokenize, attention and the transformer's benchmarks, as their users run them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using nlohmann::json;
using test::content_of;
using test::golden;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

json json_run(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--json", "--quiet"});
  const auto result = run_program(arguments);
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out);
}

void refused(const std::vector<std::string>& arguments, int code, const std::string& part) {
  const auto result = run_program(arguments);
  CAPTURE(result.err);
  CHECK(result.exit_code == code);
  CHECK(result.error_line().find(part) != std::string::npos);
}

// One of ru-dalle's golden models with its files, given to `dalle1 logits`.
struct RudalleModel {
  std::string name;
  ScratchDir scratch = {};

  std::string file(const std::string& suffix) const { return golden("rudalle/" + name + suffix).string(); }
  std::string out(const std::string& file_name) const { return (scratch / file_name).string(); }
  int64_t text_length() const { return json::parse(content_of(file("_config.json"))).at("text_seq_length"); }

  void logits(std::vector<std::string> arguments) const {
    const std::vector<std::string> model = {"logits",     "--quiet",  "--transformer",
                                            file(".bin"), "--config", "transformer=" + file("_config.json")};
    arguments.insert(arguments.begin(), model.begin(), model.end());
    const auto result = run_program(arguments);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
  }

  void check_logits(const std::string& given) const {
    const NpyArray expected = read_npy(file("_logits.npy")), found = read_npy(given);
    REQUIRE(found.shape == expected.shape);
    const auto a = expected.to_f32(), b = found.to_f32();
    float worst = 0;
    for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
    CHECK(worst < 1e-3f);
  }

  // The image tokens of a golden run of ids, and as many of ours.
  void check_greedy(const std::string& suffix, std::vector<std::string> forced) const {
    const NpyArray expected = read_npy(file(suffix));
    const int64_t text = text_length(), length = expected.shape[1], steps = length - text;
    forced.insert(forced.end(), {"--ids", file(suffix), "--greedy", std::to_string(steps), "--tokens-out",
                                 out("tokens.npy")});
    logits(forced);
    const NpyArray found = read_npy(out("tokens.npy"));
    REQUIRE(found.shape == std::vector<int64_t>{expected.shape[0], steps});
    const auto a = expected.to_i64(), b = found.to_i64();
    for (int64_t row = 0; row < expected.shape[0]; ++row)
      CHECK(std::equal(b.begin() + row * steps, b.begin() + (row + 1) * steps,
                       a.begin() + row * length + text));
  }
};

}  // namespace

TEST_CASE("logits: whole, cached, greedy and forced are those of ru-dalle's own code") {
  for (const char* name : {"grid8_plain", "grid8_v2", "grid8_six_layers"}) {
    CAPTURE(name);
    const RudalleModel model{name};
    model.logits({"--ids", model.file("_ids.npy"), "--out", model.out("whole.npy")});
    model.check_logits(model.out("whole.npy"));
    model.logits({"--ids", model.file("_ids.npy"), "--cached", "--out", model.out("cached.npy")});
    model.check_logits(model.out("cached.npy"));
    CHECK(content_of(model.out("whole.npy")) != content_of(model.out("cached.npy")));  // two ways, not one
    model.check_greedy("_greedy.npy", {});
    model.check_greedy("_prompt_greedy.npy", {"--forced", model.file("_prompt.json")});
  }
}

TEST_CASE("logits: ids and cells that do not fit are one line") {
  const RudalleModel model{"grid8_v2"};
  const auto run = [&](std::vector<std::string> more, int code, const std::string& part) {
    more.insert(more.begin(),
                {"logits", "--transformer", model.file(".bin"), "--config", model.file("_config.json")});
    refused(more, code, part);
  };
  const std::string ids = model.out("ids.npy");
  std::vector<int64_t> values(static_cast<size_t>(model.text_length()), 5);
  values[3] = 1000000;
  write_npy(ids, {1, model.text_length()}, values);
  run({"--ids", ids, "--out", model.out("x.npy")}, 3, "id 1000000 at row 0, position 3");
  write_npy(ids, {1, 3}, std::vector<int64_t>{1, 2, 3});
  run({"--ids", ids, "--out", model.out("x.npy")}, 3, "ids must be [B, T]");
  const std::string good = model.file("_ids.npy");
  run({"--ids", good}, 2, "nothing to do");
  run({"--ids", good, "--greedy", "4"}, 2, "--tokens-out");
  run({"--ids", good, "--greedy", "65", "--tokens-out", model.out("x.npy")}, 2, "64 cells");
  std::ofstream(model.out("forced.json")) << R"({"64": 1})";
  run({"--ids", good, "--greedy", "4", "--tokens-out", model.out("x.npy"), "--forced",
       model.out("forced.json")},
      3, "'64'");
  CHECK_FALSE(fs::exists(model.out("x.npy")));
}

TEST_CASE("masks: ru-dalle's, bit for bit; the picture is the array, and comes back as a table") {
  ScratchDir scratch;
  const std::string png = (scratch / "mask.png").string(), npy = (scratch / "mask.npy").string();
  struct Case {
    const char *file, *pattern, *wrap;
    int64_t large_ones;  // with 128 text positions, a 32 x 32 grid and a window of 11
  };
  for (const Case& c : {Case{"row", "row", "none", 172592},
                        {"col", "column", "none", 156224},
                        {"conv_v3", "conv", "none", 191682},
                        {"conv_v2", "conv", "rudalle-v2", 201792}}) {
    CAPTURE(c.file);
    std::vector<std::string> arguments = {"masks",  "--pattern", c.pattern, "--wrap", c.wrap,
                                          "--text", "6",         "--grid",  "4",      "--kernel",
                                          "3",      "--out",     png,       "--npy",  npy};
    const json small = json_run(arguments);
    const NpyArray found = read_npy(npy),
                   expected = read_npy(golden(fmt::format("rudalle_masks/mask_t6_g4_{}.npy", c.file)));
    CHECK(found.shape == expected.shape);
    CHECK(found.bytes == expected.bytes);
    const Image picture = read_image(png);
    REQUIRE(picture.width == 22);
    const auto bits = found.values<uint8_t>();
    for (size_t i = 0; i < bits.size(); ++i) REQUIRE(*picture.at(i % 22, i / 22) == (bits[i] ? 255 : 0));
    CHECK(small["ones"] == std::accumulate(bits.begin(), bits.end(), int64_t{0}));

    const std::string again = (scratch / "again.npy").string();
    json_run({"masks", "--pattern", png, "--text", "6", "--grid", "4", "--npy", again});
    CHECK(content_of(again) == content_of(npy));
    CHECK(json_run({"masks", "--pattern", c.pattern, "--wrap", c.wrap, "--text", "128", "--out",
                    png})["ones"] == c.large_ones);
  }
  refused({"masks", "--pattern", "spiral", "--out", png}, 2, "spiral");
  refused({"masks"}, 2, "--out");
}

TEST_CASE("tokenize: a published BPE model and CLIP's merges, as lines and as JSON") {
  std::vector<std::string> yttm = {"tokenize", "--tokenizer", golden("yttm/bpe.model").string()};
  json expected = json::array();
  for (const json& each : json::parse(content_of(golden("yttm/yttm_golden.json")))) {
    if (each["text"].get<std::string>().empty()) continue;  // no option takes an empty value
    yttm.insert(yttm.end(), {"--print", each["text"]});
    expected.push_back(each["ids"]);
  }
  REQUIRE(expected.size() == 24);
  CHECK(json_run(yttm) == expected);

  ScratchDir scratch;
  std::ofstream(scratch / "texts.txt") << "кот\n\nкрасный робот\n";
  const auto lines = run_program({"tokenize", "--tokenizer", golden("yttm/bpe.model").string(), "--file",
                                  (scratch / "texts.txt").string()});
  CHECK(lines.exit_code == 0);
  CHECK(std::count(lines.out.begin(), lines.out.end(), '\n') == 3);
  CHECK(lines.out.find("\n\n") != std::string::npos);  // no ids for an empty line

  std::vector<std::string> clip = {"tokenize", "--clip",
                                   fs::path(DALLE1_SOURCE_DIR) / "weights/tokenizers/clip_bpe.txt.gz"};
  expected = json::array();
  for (const json& each : json::parse(content_of(golden("openai_clip_tokenizer/tokenizer_golden.json")))) {
    const std::string text = each["text"];
    if (text.empty() || text.find('\0') != text.npos || expected.size() == 20) continue;
    clip.insert(clip.end(), {"--print", text});
    expected.push_back(each["ids"]);
  }
  CHECK(json_run(clip) == expected);
  refused({"tokenize", "--tokenizer", golden("yttm/bpe.model").string()}, 2, "--print");
  refused({"tokenize", "--tokenizer", golden("yttm/README.md").string(), "--print", "x"}, 4, "README.md");
}

TEST_CASE("attention: shares sum to one where the pattern sees, and the picture is bright there") {
  ScratchDir scratch;
  const std::string white = (scratch / "white.png").string(), out = (scratch / "look.png").string();
  write_png(white, Image(64, 64, 3, 255));
  const std::string model = test::tiny_model().string();  // an 8 x 8 grid, layer 0 looks along rows
  const json seen = json_run({"attention", "--model", model, "--prompt", "a red circle", "--image", white,
                              "--layer", "0", "--head", "1", "--at", "3,2", "--out", out});
  const auto text = seen["text"].get<std::vector<double>>(), image = seen["image"].get<std::vector<double>>();
  REQUIRE(text.size() == 16);
  REQUIRE(image.size() == 64);
  CHECK(std::accumulate(text.begin(), text.end(), 0.0) == doctest::Approx(seen["text_share"].get<double>()));
  CHECK(std::accumulate(image.begin(), image.end(), seen["text_share"].get<double>()) == doctest::Approx(1));
  const Image look = read_image(out);
  REQUIRE(look.width == 128);
  REQUIRE(look.height == 128);
  const int cell = 3 * 8 + 2;
  int brightest = 0;
  for (int at = 0; at < 64; ++at) {
    CAPTURE(at);
    const uint8_t* middle = look.at(at % 8 * 16 + 8, at / 8 * 16 + 8);
    CHECK((image[at] > 0) == (at >= cell - 8 && at <= cell));  // itself and one row back
    CHECK((middle[0] > 38) == (image[at] > 0));                // 15% of white where nothing is seen
    brightest = std::max<int>(brightest, middle[0]);
  }
  CHECK(brightest == 255);
  const uint8_t* frame = look.at(2 * 16, 3 * 16);
  CHECK(std::vector<int>(frame, frame + 3) == std::vector<int>{255, 64, 64});

  json_run({"attention", "--model", model, "--prompt", "a red circle", "--image", white, "--out",
            out});  // in the middle
  refused({"attention", "--model", model, "--prompt", "a", "--image", white, "--at", "8,0", "--out", out}, 2,
          "0 to 7");
  refused({"attention", "--model", model, "--prompt", "a", "--image", white, "--layer", "64", "--out", out},
          2, "--layer 64: there are layers 0 to 63");
}

TEST_CASE("bench decode and bench train print figures beside the machine's peaks") {
  const auto bench = [](const std::string& what, const std::string& grid,
                        const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"bench",     what, "--layers", "2", "--width", "32",
                                          "--heads",   "2",  "--text",   "8", "--vocab", "32",
                                          "--threads", "1",  "--grid",   grid};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_run(arguments);
  };
  const json decoded = bench("decode", "8", {"--candidates", "3"});
  CHECK(decoded["cells"] == 64);
  CHECK(decoded["candidates"] == 3);
  for (const char* figure : {"seconds_per_image", "tokens_per_second", "gflops", "gb_s", "peak_gflops",
                             "peak_read_gb_s", "share_of_peak", "prefill_seconds"}) {
    CAPTURE(figure);
    CHECK(decoded[figure].get<double>() > 0);
  }
  // A ring of 9 in the row layer; 5 rows, 5 cells and itself in the last, which is convolutional.
  CHECK(decoded["cache_bytes_per_candidate"].get<size_t>() == (9 + 46) * 32 * 2 * 4);
  CHECK(decoded["full_cache_bytes_per_candidate"].get<size_t>() >=
        decoded["cache_bytes_per_candidate"].get<size_t>());

  const json trained = bench("train", "16", {"--seconds", "0.01"});
  REQUIRE(trained["attention"].size() == 4);
  CHECK(trained["attention"][0]["of_dense"] == 1.0);
  for (const json& row : trained["attention"]) {
    CHECK(row["seconds"].get<double>() > 0);
    CHECK(row["ones_of_dense"].get<double>() <= 1.0);
    // Queries, keys, values, outputs and their gradients, but nothing of positions by positions for each
    // head.
    const size_t positions = 264, vectors = 8 * positions * 32 * 4, table = 2 * positions * positions * 4;
    CHECK(row["bytes"].get<size_t>() >= vectors);
    CHECK(row["bytes"].get<size_t>() < vectors + table / 2);
  }
  CHECK(trained["step"]["samples_per_second"].get<double>() > 0);
}
