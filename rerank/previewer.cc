#include "rerank/previewer.h"

#include <algorithm>
#include <cmath>

namespace dalle1::rerank {
namespace {

// RGB as RGBA, transparent in the cells without a token.
Image with_holes(const Image& rgb, std::span<const int32_t> tokens, int grid) {
  Image picture(rgb.width, rgb.height, 4, 255);
  const int side = rgb.width / grid;
  for (int y = 0; y < rgb.height; ++y)
    for (int x = 0; x < rgb.width; ++x) {
      std::copy_n(rgb.at(x, y), 3, picture.at(x, y));
      if (tokens[static_cast<size_t>(y / side * grid + x / side)] < 0) picture.at(x, y)[3] = 0;
    }
  return picture;
}

std::vector<int32_t> filled(std::span<const int32_t> tokens, int grid, size_t cells) {
  std::vector<int32_t> all(tokens.begin(), tokens.end());
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] >= 0) continue;
    const bool first_row = i % cells < static_cast<size_t>(grid);
    all[i] = first_row ? 0 : all[i - static_cast<size_t>(grid)];
  }
  return all;
}

}  // namespace

Previewer::Previewer(const PreviewWish& wish, int cells)
    : wish_(wish), cells_(cells), grid_(static_cast<int>(std::lround(std::sqrt(cells)))) {}

bool Previewer::is_due(int cells_done) {
  const int rows = cells_done / grid_;
  if (wish_.rows <= 0 || wish_.pictures <= 0 || cells_done >= cells_ || rows < last_rows_ + wish_.rows)
    return false;
  last_rows_ = rows;
  return true;
}

Preview Previewer::make(PictureDecoder& decoder, std::span<const uint32_t> candidates,
                        std::vector<int32_t> tokens) const {
  const auto cells = static_cast<size_t>(cells_);
  const size_t count = std::min(candidates.size(), static_cast<size_t>(wish_.pictures));
  tokens.resize(count * cells);
  Preview preview;
  preview.candidates.assign(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count));
  preview.rows = last_rows_;
  preview.pictures = decoder.decode(filled(tokens, grid_, cells), static_cast<int>(count));
  for (size_t i = 0; i < count; ++i)
    preview.pictures[i] = with_holes(preview.pictures[i], std::span(tokens).subspan(i * cells, cells), grid_);
  return preview;
}

}  // namespace dalle1::rerank
