#include "rerank/complete.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace dalle1::rerank {
namespace {

// The centred square of a picture and where its pixels fall on the grid.
struct Square {
  int left, top, side;

  explicit Square(const Image& picture)
      : left((picture.width - std::min(picture.width, picture.height)) / 2),
        top((picture.height - std::min(picture.width, picture.height)) / 2),
        side(std::min(picture.width, picture.height)) {}

  // Cells [first, last) that pixels [begin, end) of one axis touch, clipped to the grid; `offset` is left or
  // top.
  std::pair<int, int> cells(int begin, int end, int offset, int grid) const {
    const auto scaled = [&](int pixel) { return static_cast<int64_t>(pixel - offset) * grid; };
    const auto first = static_cast<int>(std::floor(static_cast<double>(scaled(begin)) / side));
    const auto last = static_cast<int>(std::ceil(static_cast<double>(scaled(end)) / side));
    return {std::clamp(first, 0, grid), std::clamp(last, 0, grid)};
  }
};

Redraw nothing(int grid) {
  return {grid, std::vector<uint8_t>(static_cast<size_t>(grid) * static_cast<size_t>(grid), 0)};
}

void mark(Redraw& redraw, std::pair<int, int> rows, std::pair<int, int> columns) {
  for (int row = rows.first; row < rows.second; ++row)
    for (int column = columns.first; column < columns.second; ++column)
      redraw.cells[static_cast<size_t>(row) * redraw.grid + column] = 1;
}

bool is_marked(const Image& mask, int x, int y) {
  const auto* pixel = mask.at(x, y);
  if (mask.channels == 4) return pixel[3] < 128;
  const int sum = std::accumulate(pixel, pixel + mask.channels, 0);
  return sum >= 128 * mask.channels;
}

// Pixels from (x, y) to the nearest redrawn cell (Euclidean, 0 inside), as far as `reach`; more than that
// otherwise.
double distance_to_redrawn(const Redraw& redraw, int cell, int x, int y, int reach) {
  double least = reach + 1.0;
  const int row = y / cell, column = x / cell;
  for (int r = std::max(0, row - 1); r <= std::min(redraw.grid - 1, row + 1); ++r) {
    for (int c = std::max(0, column - 1); c <= std::min(redraw.grid - 1, column + 1); ++c) {
      if (!redraw.at(r, c)) continue;
      const int dx = std::max({c * cell - x, x - (c * cell + cell - 1), 0});
      const int dy = std::max({r * cell - y, y - (r * cell + cell - 1), 0});
      least = std::min(least, std::hypot(dx, dy));
    }
  }
  return least;
}

}  // namespace

int Redraw::count() const { return static_cast<int>(std::count(cells.begin(), cells.end(), 1)); }

Redraw keep_top_rows(int grid, int rows) {
  check(rows > 0 && rows < grid, ErrorKind::usage, "{} of {} rows cannot be kept: keep 1 to {}", rows, grid,
        grid - 1);
  auto redraw = nothing(grid);
  mark(redraw, {rows, grid}, {0, grid});
  return redraw;
}

Redraw redraw_region(int grid, const Image& picture, const Rectangle& region) {
  const bool inside = region.x >= 0 && region.y >= 0 && region.width > 0 && region.height > 0 &&
                      region.width <= picture.width - region.x && region.height <= picture.height - region.y;
  check(inside, ErrorKind::input, "the region {},{},{},{} is not inside the picture of {} x {} pixels",
        region.x, region.y, region.width, region.height, picture.width, picture.height);
  const Square square(picture);
  auto redraw = nothing(grid);
  mark(redraw, square.cells(region.y, region.y + region.height, square.top, grid),
       square.cells(region.x, region.x + region.width, square.left, grid));
  check(redraw.count() > 0, ErrorKind::input,
        "the region lies outside of the centred square of {} x {} pixels that is used of the picture",
        square.side, square.side);
  return redraw;
}

Redraw redraw_mask(int grid, const Image& picture, const Image& mask) {
  check(mask.width == picture.width && mask.height == picture.height, ErrorKind::input,
        "the mask has {} x {} pixels and the picture {} x {}: they must be equal", mask.width, mask.height,
        picture.width, picture.height);
  const Square square(picture);
  auto redraw = nothing(grid);
  for (int y = square.top; y < square.top + square.side; ++y)
    for (int x = square.left; x < square.left + square.side; ++x)
      if (is_marked(mask, x, y))
        mark(redraw, square.cells(y, y + 1, square.top, grid), square.cells(x, x + 1, square.left, grid));
  check(redraw.count() > 0, ErrorKind::input, "the mask marks nothing to redraw: {}",
        mask.channels == 4 ? "it has alpha, and no pixel of it is transparent" : "no pixel of it is white");
  return redraw;
}

void redraw_rest(Redraw& redraw) {
  const auto last = std::find(redraw.cells.rbegin(), redraw.cells.rend(), 1);
  std::fill(last.base(), redraw.cells.end(), uint8_t{1});
}

std::vector<int32_t> forced_cells(const Redraw& redraw, const std::vector<int32_t>& tokens) {
  check(tokens.size() == redraw.cells.size(), ErrorKind::internal, "{} tokens for {} cells", tokens.size(),
        redraw.cells.size());
  auto forced = tokens;
  for (size_t cell = 0; cell < forced.size(); ++cell)
    if (redraw.cells[cell]) forced[cell] = -1;
  return forced;
}

Image paste_kept(const Image& given, const Image& generated, const Redraw& redraw) {
  check(given.width == generated.width && given.height == generated.height && given.channels == 3 &&
            generated.channels == 3 && given.width % redraw.grid == 0,
        ErrorKind::internal, "pictures of {} and {} pixels cannot be joined on a grid of {}", given.width,
        generated.width, redraw.grid);
  const int cell = given.width / redraw.grid;
  Image joined = generated;
  for (int y = 0; y < given.height; ++y) {
    for (int x = 0; x < given.width; ++x) {
      const double distance = distance_to_redrawn(redraw, cell, x, y, cell);
      if (distance <= 0) continue;
      // Smooth from 0 at the seam to 1 one cell away.
      const double t = std::min(1.0, distance / (cell + 1));
      const double share = t * t * (3 - 2 * t);
      for (int c = 0; c < 3; ++c)
        joined.at(x, y)[c] = static_cast<uint8_t>(
            std::lround(share * given.at(x, y)[c] + (1 - share) * generated.at(x, y)[c]));
    }
  }
  return joined;
}

}  // namespace dalle1::rerank
