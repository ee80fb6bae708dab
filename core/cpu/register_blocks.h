// How a packed product is cut into register blocks: rows of a block times some panels at a time.
//
// Only for files that are compiled for one instruction set: everything has internal linkage (see lanes.h).
#pragma once

#include <cstdint>
#include <utility>

namespace dalle1::cpu {
namespace {

/// All rows of the block times P panels, in register blocks of nearly equal height.
template <typename Product, int P, typename Block, int... R>
void multiply_rows(const Block& block, int64_t panel, std::integer_sequence<int, R...>) {
  using Function = void (*)(const Block&, int64_t, int64_t);
  constexpr Function by_height[] = {Product::template registers<R + 1, P>...};
  constexpr int64_t tallest = sizeof...(R);
  const int64_t pieces = (block.rows + tallest - 1) / tallest;
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t begin = block.rows * i / pieces, end = block.rows * (i + 1) / pieces;
    by_height[end - begin - 1](block, begin, panel);
  }
}

/// P panels at a time: with few rows, more panels keep enough independent sums in flight.
template <typename Product, int P, typename Block>
void multiply_panels(const Block& block) {
  int64_t panel = 0;
  for (; panel + P <= block.panel_count; panel += P)
    multiply_rows<Product, P>(block, panel, std::make_integer_sequence<int, Product::most_rows / P>());
  for (; panel < block.panel_count; ++panel)
    multiply_rows<Product, 1>(block, panel, std::make_integer_sequence<int, Product::most_rows>());
}

/// A whole block. Product::registers<R, P>(block, row, panel) does R rows times P panels; R P <= most_rows.
template <typename Product, typename Block>
void multiply_block(const Block& block) {
  if (block.rows <= Product::most_rows / 4)
    multiply_panels<Product, 4>(block);
  else if (block.rows <= Product::most_rows / 2)
    multiply_panels<Product, 2>(block);
  else
    multiply_panels<Product, 1>(block);
}

}  // namespace
}  // namespace dalle1::cpu
