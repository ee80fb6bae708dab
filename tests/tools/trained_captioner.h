// A captioner of a tiny model that the tests of this folder share.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/image/png.h"
#include "core/random/philox.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {

inline constexpr int kPictures = 8, kPictureSide = 64;

inline const char* const kCaptions[kPictures] = {
    "a red circle above a blue square",  "a blue cat above a red square",
    "a green star above a red square",   "a yellow house above a red square",
    "a red cat above a green square",    "a blue star above a yellow square",
    "a green house above a blue square", "a yellow circle above a green square"};

// Shards of eight pictures and a captioner that was trained on them, made once.
struct TrainedCaptioner {
  ScratchDir scratch;
  std::vector<std::string> pictures;

  TrainedCaptioner() {
    std::filesystem::create_directories(scratch / "pictures");
    std::ofstream captions(scratch / "pictures/captions.jsonl");
    for (int i = 0; i < kPictures; ++i) {
      const std::string name = fmt::format("{}.png", i);
      Image picture(kPictureSide, kPictureSide, 3);
      for (size_t p = 0; p < picture.pixels.size(); ++p)
        picture.pixels[p] = static_cast<uint8_t>(
            random_block(static_cast<uint64_t>(i), Stream::test, static_cast<uint32_t>(p / 48), 0, 0)[0]);
      write_png(scratch / ("pictures/" + name), picture);
      captions << nlohmann::json{{"image", name}, {"caption", kCaptions[i]}}.dump() << "\n";
      pictures.push_back(at("pictures/" + name));
    }
    captions.close();
    succeeds(shard("shards", "8"));
    write_config({{"grid", 8}});
    succeeds(train("run"));
  }

  std::string at(const std::string& name) const { return (scratch / name).string(); }
  std::string captioner() const { return at("run/model"); }

  void write_config(const nlohmann::json& more) const {
    nlohmann::json file = {{"layers", 1},
                           {"width", 32},
                           {"heads", 2},
                           {"text_slots", 24},
                           {"text_vocab", 60},
                           {"grid", 8},
                           {"image_vocab", 32},
                           {"code_width", 16},
                           {"train",
                            {{"steps", 80},
                             {"batch", 8},
                             {"optimizer", "muon"},
                             {"learning_rate", 5e-3},
                             {"ema_decay", 0},
                             {"validation", 0}}}};
    file.update(more);
    std::ofstream(at("captioner.json")) << file.dump();
  }

  std::vector<std::string> shard(const std::string& out, const std::string& grid) const {
    return {"shard", "--quiet", "--model", shallow_model().string(), "--data", at("pictures"), "--grid",
            grid,    "--out",   at(out)};
  }

  std::vector<std::string> train(const std::string& out, const std::string& shards = "shards",
                                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"train",
                                          "captioner",
                                          "--quiet",
                                          "--threads",
                                          "1",
                                          "--config",
                                          at("captioner.json"),
                                          "--shards",
                                          at(shards),
                                          "--tokenizer",
                                          (shallow_model() / "text.model").string(),
                                          "--out",
                                          at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static void succeeds(const std::vector<std::string>& arguments) {
    const auto result = run_program(arguments);
    CAPTURE(arguments[0]);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == 0);
  }
};

inline const TrainedCaptioner& trained_captioner() {
  static const TrainedCaptioner once;
  return once;
}

}  // namespace dalle1::test
