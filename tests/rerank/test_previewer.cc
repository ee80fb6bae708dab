// What a sink sees of a wave while it is sampled and scored.
#include <doctest/doctest.h>

#include <map>

#include "rerank/pipeline.h"
#include "rerank/transformer_source.h"
#include "tests/rerank/fakes.h"

namespace dalle1::test {
namespace {

using namespace rerank;

class WatchingSink final : public RunSink {
 public:
  explicit WatchingSink(PreviewWish wish) : wish_(wish) {}
  PreviewWish wished_previews() const override { return wish_; }
  void preview(const Preview& preview) override { previews.push_back(preview); }
  void scored(const std::vector<ResultRow>& rows, const std::vector<Image>& pictures) override {
    REQUIRE(rows.size() == pictures.size());
    for (size_t i = 0; i < rows.size(); ++i) scored_pictures[rows[i].candidate] = pictures[i];
  }
  bool has(uint32_t candidate) const override { return memory.has(candidate); }
  void save_wave(const std::vector<ResultRow>& rows) override { memory.save_wave(rows); }
  std::vector<int32_t> tokens_of(uint32_t candidate) const override { return memory.tokens_of(candidate); }
  void picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) override {
    memory.picture(row, picture, texts);
  }
  void sheet(const Image& sheet, const std::vector<PngText>& texts) override { memory.sheet(sheet, texts); }
  void ranking(const std::vector<ResultRow>& rows) override { memory.ranking(rows); }

  MemorySink memory;
  std::vector<Preview> previews;
  std::map<uint32_t, Image> scored_pictures;

 private:
  PreviewWish wish_;
};

WatchingSink watched(PreviewWish wish, CandidateSource& source) {
  FakeDecoder decoder;
  FakeScorer scorer;
  PipelineOptions options;
  options.info.request.candidates = 5;
  options.info.request.keep = 2;
  options.wave = 3;
  WatchingSink sink(wish);
  run_pipeline(source, decoder, scorer, options, sink);
  return sink;
}

}  // namespace

TEST_CASE(
    "previews come after every so many rows, of the first candidates, transparent where nothing is yet") {
  FakeSource source(5);
  const auto sink = watched({2, 2}, source);
  REQUIRE(sink.previews.size() == 2);  // after two of four rows of each of two waves; not of whole pictures
  CHECK(sink.previews[0].candidates == std::vector<uint32_t>{0, 1});
  CHECK(sink.previews[1].candidates == std::vector<uint32_t>{3, 4});
  for (const auto& preview : sink.previews) {
    CHECK(preview.rows == 2);
    for (size_t i = 0; i < preview.pictures.size(); ++i) {
      const auto& whole = sink.scored_pictures.at(preview.candidates[i]);
      for (int y = 0; y < kFakeGrid; ++y)
        for (int x = 0; x < kFakeGrid; ++x) {
          const auto* pixel = preview.pictures[i].at(x, y);
          CHECK(pixel[3] == (y < 2 ? 255 : 0));
          // The decoder is given the token above where there is none.
          CHECK(std::equal(pixel, pixel + 3, whole.at(x, y < 2 ? y : 1)));
        }
    }
  }
}

TEST_CASE("watching changes nothing; unasked, no preview is made") {
  FakeSource source(5), again(5);
  const auto silent = watched({}, source), seen = watched({1, 9}, again);
  CHECK(silent.previews.empty());
  CHECK(seen.previews.size() == 6);
  CHECK(silent.scored_pictures.size() == 5);
  REQUIRE(silent.memory.pictures().size() == 2);
  for (size_t i = 0; i < 2; ++i)
    CHECK(silent.memory.pictures()[i].picture.pixels == seen.memory.pictures()[i].picture.pixels);
}

TEST_CASE("sources in turn show what each has drawn") {
  std::vector<std::unique_ptr<CandidateSource>> sources;
  sources.push_back(std::make_unique<FakeSource>(1));
  sources.push_back(std::make_unique<FakeSource>(2));
  AlternatingSource alternating(std::move(sources));
  const std::vector<uint32_t> candidates = {0, 1, 2};
  std::vector<std::vector<int32_t>> seen;
  const auto wave = alternating.sample(candidates, [&](int) {
    seen.push_back(alternating.tokens_so_far());
    return true;
  });
  REQUIRE(wave.has_value());
  REQUIRE(seen.size() == 2 * kFakeCells);
  for (size_t step = 0; step < seen.size(); ++step)
    for (size_t i = 0; i < 3; ++i)
      for (size_t cell = 0; cell < kFakeCells; ++cell) {
        const bool second = candidates[i] % 2 == 1;
        const bool drawn = second ? step >= kFakeCells + cell : step >= cell;
        CHECK(seen[step][i * kFakeCells + cell] == (drawn ? wave->tokens_of(i)[cell] : -1));
      }
}

}  // namespace dalle1::test
