// Token shards of 32 pairs, and trainings on them, that the tests of this folder share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/token_shard.h"
#include "core/nn/parameters.h"
#include "core/text/tokenizer.h"
#include "core/text/train_sentencepiece.h"
#include "core/train/loop.h"
#include "tests/support/golden.h"
#include "weights/training_state.h"

namespace dalle1::test {

inline const char* const kColours[] = {"red", "green", "blue", "black"};
inline const char* const kShapes[] = {"circle", "square", "ring", "cross"};

/// 32 captions, each with a picture of its own on a 4 x 4 grid.
struct Pairs {
  explicit Pairs(const ScratchDir& scratch) {
    TokenShardWriter writer(scratch / "pairs.tokens", {4, 16, "dvae", ""});
    for (int i = 0; i < 32; ++i) {
      captions.push_back(
          fmt::format("{} {} {}", i / 16 ? "small" : "large", kColours[i % 4], kShapes[i / 4 % 4]));
      std::vector<int32_t> tokens;
      for (int cell = 0; cell < 16; ++cell) {
        tokens.push_back((i % 4 * 3 + (cell + i / 4 % 4) % 3 + (i / 16) * (cell / 8)) % 16);
      }
      pictures.push_back(tokens);
      writer.add(tokens, captions.back());
    }
    writer.finish();
    size_t next = 0;
    const std::string model = text::train_sentencepiece(
        [&]() -> std::optional<std::string> {
          return next < captions.size() ? std::optional(captions[next++]) : std::nullopt;
        },
        {48, 1.0, false});
    tokenizer =
        text::parse_tokenizer(std::span(reinterpret_cast<const uint8_t*>(model.data()), model.size()), "bpe");
  }
  std::vector<std::string> captions;
  std::vector<std::vector<int32_t>> pictures;
  std::unique_ptr<text::Tokenizer> tokenizer;
};

/// Trains in `folder`, going on where it was; returns the rows that were logged.
inline std::vector<nlohmann::json> run_task(Device& device, TrainTask& task, const TrainOptions& options,
                                            const std::filesystem::path& folder,
                                            const nlohmann::json& settings, int64_t stop_after = -1) {
  const weights::SafetensorsState format;
  std::vector<nlohmann::json> rows;
  int64_t polled = 0;
  TrainRun setup;
  setup.folder = folder;
  setup.resume = true;
  setup.settings = settings;
  setup.format = &format;
  setup.stop_requested = [&] { return ++polled == stop_after; };
  setup.report = [&](const nlohmann::json& row) { rows.push_back(row); };
  std::filesystem::create_directories(folder);
  train(device, task, options, setup);
  return rows;
}

inline std::vector<float> all_values(Module& model) {
  std::vector<float> all;
  model.visit([&](const std::string&, Tensor& parameter) {
    const auto values = parameter.to_floats();
    all.insert(all.end(), values.begin(), values.end());
  });
  return all;
}

}  // namespace dalle1::test
