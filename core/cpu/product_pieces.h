// How a product with packed weights is cut into pieces of work for threads and caches.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cpu/parallel.h"

namespace dalle1::cpu {

struct ProductShape {
  int64_t rows = 0;
  int64_t depth = 0;  ///< Multiplications of 32 bits an output: K in f32.
  int64_t panels = 0;
  int width = 0;     ///< Columns of a panel.
  int row_step = 0;  ///< Rows of a register block.
};

struct ProductPiece {
  int64_t row = 0, rows = 0;
  int64_t panel = 0, panels = 0;
};

/// Calls body(piece) for pieces that cover the product. No cut may change a bit of the result.
template <typename Body>
void for_each_piece(const ProductShape& shape, int threads, const Body& body) {
  // A block of rows stays in the second-level cache while the panels pass by.
  constexpr int64_t cached_words = 64 * 1024;
  const int64_t tallest =
      std::clamp<int64_t>(cached_words / std::max<int64_t>(shape.depth, 1) / shape.row_step, 2, 16) *
      shape.row_step;
  const int64_t row_blocks = (shape.rows + tallest - 1) / tallest;
  // Enough pieces to even out a busy core, each worth the start of a task. Reading a weight from memory
  // costs about as much as a dozen multiplications.
  constexpr int64_t weight_cost = 12, least_cost = 1 << 20;
  const int64_t cost = (shape.rows + weight_cost) * shape.depth * shape.panels * shape.width;
  const int64_t wanted = threads > 1 ? std::clamp<int64_t>(cost / least_cost, 1, 8 * threads) : 1;
  const int64_t groups =
      std::clamp<int64_t>((wanted + row_blocks - 1) / row_blocks, 1, std::max<int64_t>(shape.panels, 1));
  parallel_tasks(threads, row_blocks * groups, [&](int64_t i) {
    const int64_t row = shape.rows * (i / groups) / row_blocks, panel = shape.panels * (i % groups) / groups;
    body(ProductPiece{row, shape.rows * (i / groups + 1) / row_blocks - row, panel,
                      shape.panels * (i % groups + 1) / groups - panel});
  });
}

}  // namespace dalle1::cpu
