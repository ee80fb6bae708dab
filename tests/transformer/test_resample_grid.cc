// A coarse-to-fine start keeps what position embeddings say about places in the picture.
#include <doctest/doctest.h>

#include "core/error.h"
#include "transformer/resample_grid.h"

using namespace dalle1;

namespace {

weights::RawTensor matrix(const std::string& name, const std::vector<float>& values, int64_t rows) {
  const auto owner = std::make_shared<std::vector<float>>(values);
  return {name,
          DType::f32,
          {rows, static_cast<int64_t>(values.size()) / rows},
          std::as_bytes(std::span(*owner)),
          owner};
}

std::vector<float> floats(const weights::RawTensor* tensor) {
  const auto* values = reinterpret_cast<const float*>(tensor->bytes.data());
  return {values, values + tensor->numel()};
}

}  // namespace

TEST_CASE("resample_grid interpolates rows and columns at the new cells' centres") {
  weights::Checkpoint checkpoint;
  checkpoint.tensors = {matrix("image_row.weight", {0, 10, 4, 30}, 2),
                        matrix("image_column.weight", {8, 0, 0, 8}, 2), matrix("head.weight", {1, 2}, 1)};
  const auto fine = transformer::resample_grid(checkpoint, 4);
  CHECK(fine.find("image_row.weight")->shape == std::vector<int64_t>{4, 2});
  CHECK(floats(fine.find("image_row.weight")) == std::vector<float>{0, 10, 1, 15, 3, 25, 4, 30});
  CHECK(floats(fine.find("image_column.weight")) == std::vector<float>{8, 0, 6, 2, 2, 6, 0, 8});
  CHECK(fine.find("head.weight")->bytes.data() == checkpoint.find("head.weight")->bytes.data());

  const auto coarse = transformer::resample_grid(fine, 2);
  CHECK(floats(coarse.find("image_row.weight")) == std::vector<float>{0.5, 12.5, 3.5, 27.5});
  const auto same = transformer::resample_grid(checkpoint, 2);
  CHECK(same.find("image_row.weight")->bytes.data() == checkpoint.find("image_row.weight")->bytes.data());
}

TEST_CASE("resample_grid names a position embedding that is not a matrix") {
  weights::Checkpoint checkpoint;
  checkpoint.source = "m.safetensors";
  checkpoint.tensors = {matrix("image_row.weight", {1, 2}, 1)};
  checkpoint.tensors[0].shape = {2};
  CHECK_THROWS_WITH(transformer::resample_grid(checkpoint, 4),
                    "m.safetensors: image_row.weight is [2], not a matrix");
}
