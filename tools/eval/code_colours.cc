#include "tools/eval/code_colours.h"

#include <algorithm>

namespace dalle1::tools {
namespace {

constexpr int kPatch = 4;  // cells of one code along a side
constexpr float kMiddle = 127.5f;

// Mean levels of a square of pixels.
std::array<float, 3> mean_of(const Image& picture, int x0, int y0, int side) {
  std::array<double, 3> sums{};
  for (int y = y0; y < y0 + side; ++y)
    for (int x = x0; x < x0 + side; ++x)
      for (size_t c = 0; c < 3; ++c) sums[c] += picture.at(x, y)[c];
  std::array<float, 3> mean;
  for (size_t c = 0; c < 3; ++c) mean[c] = static_cast<float>(sums[c] / (side * side)) - kMiddle;
  return mean;
}

}  // namespace

CodeColours::CodeColours(rerank::PictureDecoder& decoder, int grid, int codes)
    : grid_(grid), side_(grid >= 32 && grid % 2 == 0 ? grid / 2 : grid) {
  const int patch = std::min(kPatch, grid), across = grid / patch, at_once = across * across;
  const int cell = decoder.picture_size() / grid, margin = patch * cell / 4;
  std::vector<int32_t> tokens(static_cast<size_t>(grid) * grid);
  for (int first = 0; first < codes; first += at_once) {
    const auto patch_at = [&](int row, int column) {
      return std::min(row / patch, across - 1) * across + std::min(column / patch, across - 1);
    };
    for (int row = 0; row < grid; ++row)
      for (int column = 0; column < grid; ++column)
        tokens[static_cast<size_t>(row) * grid + column] = std::min(first + patch_at(row, column), codes - 1);
    const auto picture = decoder.decode(tokens, 1).front();
    // The middle of a patch, where no other code is near.
    for (int i = 0; i < std::min(at_once, codes - first); ++i)
      colours_.push_back(mean_of(picture, i % across * patch * cell + margin,
                                 i / across * patch * cell + margin, patch * cell - 2 * margin));
  }
}

void CodeColours::append_thumbnail(std::span<const int32_t> tokens, std::vector<float>& values) const {
  const int times = grid_ / side_;
  const float share = 1.0f / static_cast<float>(times * times);
  const size_t begin = values.size();
  values.resize(begin + static_cast<size_t>(size()));
  for (int row = 0; row < grid_; ++row) {
    for (int column = 0; column < grid_; ++column) {
      const auto& colour = colours_[static_cast<size_t>(tokens[static_cast<size_t>(row) * grid_ + column])];
      float* const cell = values.data() + begin + 3 * (row / times * side_ + column / times);
      for (size_t c = 0; c < 3; ++c) cell[c] += share * colour[c];
    }
  }
}

}  // namespace dalle1::tools
