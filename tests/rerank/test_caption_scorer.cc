// The captioner as a scorer, alone, in sums and in the pipeline.
#include <doctest/doctest.h>

#include "core/text/train_sentencepiece.h"
#include "rerank/caption_scorer.h"
#include "tests/rerank/fakes.h"
#include "tests/rerank/folder_run.h"
#include "tests/support/golden.h"

namespace dalle1::rerank {
namespace {

using Kind = CaptionScorer::Kind;

std::shared_ptr<const transformer::Captioner> fake_captioner(Device& device) {
  transformer::CaptionerConfig config;
  config.layers = 1;
  config.width = 16;
  config.heads = 2;
  config.text_slots = 10;
  config.text_vocab = 40;
  config.grid = test::kFakeGrid;
  config.image_vocab = 97;
  config.code_width = 8;
  auto model = std::make_shared<transformer::Captioner>(device, config);
  model->initialise(1);
  return model;
}

std::unique_ptr<text::Tokenizer> fake_tokenizer() {
  std::vector<std::string> texts{"a red circle", "a blue square", "two green rings", "a cat and a dog"};
  size_t next = 0;
  const std::string model = text::train_sentencepiece(
      [&]() -> std::optional<std::string> {
        return next < texts.size() ? std::optional(texts[next++]) : std::nullopt;
      },
      {40, 1.0, false});
  return text::parse_tokenizer(std::span(reinterpret_cast<const uint8_t*>(model.data()), model.size()),
                               "bpe");
}

Wave wave_of(std::vector<uint32_t> candidates) {
  return *test::FakeSource(3).sample(candidates, [](int) { return true; });
}

}  // namespace

TEST_CASE(
    "a candidate's caption scores do not depend on who is scored with it, and the ratio takes p(text) off") {
  const auto device = make_cpu_device(2);
  const auto captioner = fake_captioner(*device);
  const auto tokenizer = fake_tokenizer();
  CaptionScorer plain(captioner, *tokenizer, "a red circle", false, Kind::caption, 3);
  CaptionScorer ratio(captioner, *tokenizer, "a red circle", false, Kind::ratio);
  CHECK(plain.columns() == std::vector<std::string>{"caption"});
  CHECK(ratio.columns() == std::vector<std::string>{"caption-ratio", "caption"});
  CHECK(!plain.reads_pictures());
  const auto together = plain.score({wave_of({0, 1, 2, 3, 4, 5, 6}), {}});
  const auto ratios = ratio.score({wave_of({0, 1, 2, 3, 4, 5, 6}), {}});
  REQUIRE(together.size() == 7);
  REQUIRE(ratios.size() == 14);

  Context context(*device);
  const std::vector<std::vector<int32_t>> prompt{tokenizer->encode("a red circle")};
  const auto rows = transformer::caption_rows(*device, captioner->config(), prompt, false);
  const double null =
      transformer::log_likelihood(context, *captioner, captioner->null_vectors(context), rows).front() /
      static_cast<double>(prompt[0].size() + 1);
  for (uint32_t i = 0; i < 7; ++i) {
    CHECK(plain.score({wave_of({i}), {}}) == std::vector<double>{together[i]});
    CHECK(ratios[2 * i + 1] == together[i]);
    CHECK(ratios[2 * i] == doctest::Approx(together[i] - null));
  }
}

TEST_CASE("a prompt that does not fit a captioner is refused, or cut") {
  const auto device = make_cpu_device(1);
  const auto tokenizer = fake_tokenizer();
  const std::string longest = "a red circle a red circle a red circle a red circle";
  CHECK_THROWS_AS(CaptionScorer(fake_captioner(*device), *tokenizer, longest, false, Kind::caption), Error);
  CHECK(CaptionScorer(fake_captioner(*device), *tokenizer, longest, true, Kind::caption)
            .score({wave_of({1}), {}})
            .size() == 1);
}

TEST_CASE("the pipeline ranks by a sum with the captioner, and records its columns") {
  const auto device = make_cpu_device(1);
  const auto tokenizer = fake_tokenizer();
  const test::ScratchDir scratch;
  auto caption =
      std::make_shared<CaptionScorer>(fake_captioner(*device), *tokenizer, "a cat", false, Kind::ratio);
  WeightedSumScorer sum({{std::make_shared<test::FakeScorer>(), 1.0}, {caption, 0.5}});
  CHECK(sum.reads_pictures());
  CHECK(!WeightedSumScorer({{caption, 2.0}}).reads_pictures());
  test::FakeSource source(3);
  test::FakeDecoder decoder;
  test::FolderRun options;
  options.folder = scratch / "run";
  options.draw(10);
  options.info.request.keep = 3;
  options.wave = 4;
  const auto result = test::run_pipeline(source, decoder, sum, options);
  REQUIRE(result.best.size() == 3);
  double before = 1e9;
  for (const auto& row : read_results(scratch / "run/results.jsonl")) {
    std::map<std::string, double> score(row.scores.begin(), row.scores.end());
    CHECK(row.scores.front().first == "sum");
    CHECK(score.at("sum") == doctest::Approx(score.at("fake") + 0.5 * score.at("caption-ratio")));
    CHECK(score.contains("caption"));
    CHECK(row.scores.front().second <= before);
    before = row.scores.front().second;
  }
}

}  // namespace dalle1::rerank
