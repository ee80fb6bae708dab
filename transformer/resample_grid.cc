#include "transformer/resample_grid.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/error.h"
#include "weights/pack.h"

namespace dalle1::transformer {
namespace {

std::vector<float> interpolate_rows(const std::vector<float>& from, int64_t old_rows, int64_t new_rows,
                                    int64_t width) {
  std::vector<float> to(static_cast<size_t>(new_rows * width));
  for (int64_t row = 0; row < new_rows; ++row) {
    const double centre = (row + 0.5) * old_rows / new_rows - 0.5;
    const double clamped = std::clamp(centre, 0.0, static_cast<double>(old_rows - 1));
    const auto below = static_cast<int64_t>(clamped);
    const int64_t above = std::min(below + 1, old_rows - 1);
    const double share = clamped - below;
    for (int64_t c = 0; c < width; ++c)
      to[row * width + c] =
          static_cast<float>((1 - share) * from[below * width + c] + share * from[above * width + c]);
  }
  return to;
}

}  // namespace

weights::Checkpoint resample_grid(const weights::Checkpoint& checkpoint, int64_t grid) {
  weights::Checkpoint resampled = checkpoint;
  for (const char* name : {"image_row.weight", "image_column.weight"}) {
    const auto named = [&](const weights::RawTensor& tensor) { return tensor.name == name; };
    const auto tensor = std::ranges::find_if(resampled.tensors, named);
    if (tensor == resampled.tensors.end()) continue;  // Loading names every tensor that is missing.
    check(tensor->shape.size() == 2 && tensor->shape[0] > 0, ErrorKind::model, "{}: {} is {}, not a matrix",
          checkpoint.source, name, weights::shape_text(tensor->shape));
    if (tensor->shape[0] == grid) continue;
    const std::string scale = std::string(name) + ".scale";
    auto rows = std::make_shared<std::vector<float>>(interpolate_rows(
        weights::to_floats(*tensor, checkpoint.find(scale)), tensor->shape[0], grid, tensor->shape[1]));
    tensor->dtype = DType::f32;
    tensor->shape[0] = grid;
    tensor->bytes = std::as_bytes(std::span(*rows));
    tensor->keep_alive = rows;
    std::erase_if(resampled.tensors, [&](const weights::RawTensor& other) { return other.name == scale; });
  }
  return resampled;
}

}  // namespace dalle1::transformer
