// Where text, grid and vectors stand in a sequence, and that the models put them there.
#include <doctest/doctest.h>

#include "tests/support/random_values.h"
#include "tests/transformer/small_models.h"
#include "transformer/captioner.h"

namespace dalle1::test {

using namespace transformer;

TEST_CASE("segments follow each other; one that is not there is an error") {
  const SequenceLayout layout{{SegmentKind::vectors, 3}, {SegmentKind::grid, 16}, {SegmentKind::text, 5}};
  CHECK(layout.vectors().begin == 0);
  CHECK(layout.grid().begin == 3);
  CHECK(layout.grid().size() == 16);
  CHECK(layout.text().begin == layout.grid().end);
  CHECK(layout.length() == 24);
  const SequenceLayout text{{SegmentKind::text, 4}};
  CHECK(text.text().end == text.length());
  CHECK_THROWS_AS(text.grid(), Error);
}

TEST_CASE("a transformer's embeddings have the text's and the grid's where its layout says") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (const char* start : {"none", "prepended"}) {
    TransformerConfig config = small_config("row");
    config.start = start;
    config.loss = config.prepended() ? "rudalle_v2" : "paper";
    const Transformer model = small_model(*device, config);
    const auto batch = small_batch(*device, config, 1);
    const int64_t cells = config.cells() - 1;
    const Tensor image = Tensor::from(*device, {1, cells}, std::vector<int64_t>(cells, 3));
    for (const int32_t slots : {2, config.text_length}) {
      CAPTURE(slots);
      const auto ids = batch.text.to_ints();
      const Tensor text = Tensor::from(*device, {1, slots}, std::vector(ids.begin(), ids.begin() + slots));
      const Tensor both = model.embed(context, text, image);
      const Tensor whole = both.view({both.dim(1), config.width});
      const Segment grid = config.sequence(slots).grid();
      CHECK(grid.end == whole.dim(0) + 1);
      CHECK(config.sequence(slots).text().size() == slots + (config.prepended() ? 1 : 0));
      const Tensor own = model.embed_at(context, image, model.places(context, cells));
      CHECK(whole.rows(grid.begin, grid.begin + cells).to_floats() == own.to_floats());
    }
  }
}

TEST_CASE("a captioner's text comes behind the vectors of its picture") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const auto config = captioner_config_from_json({{"width", 16}, {"heads", 2}, {"condition", "clip"}});
  Captioner model(*device, config);
  model.initialise(1);
  const SequenceLayout layout = config.sequence();
  const int64_t count = layout.vectors().size();
  const Tensor vectors =
      Tensor::from(*device, {1, count, config.width}, random_values(count * config.width, 1));
  const Tensor ids = Tensor::from(*device, {1, 2}, std::vector<int64_t>{config.bos(), 7});
  const Tensor both = model.embed(context, vectors, ids);
  CHECK(both.dim(1) == layout.text().begin + 2);
  const Tensor whole = both.view({both.dim(1), config.width});
  const Tensor second = Tensor::from(*device, {1}, std::vector<int64_t>{7});
  CHECK(whole.rows(layout.text().begin + 1, layout.text().begin + 2).to_floats() ==
        model.embed_at(context, second, 1).to_floats());
}

}  // namespace dalle1::test
