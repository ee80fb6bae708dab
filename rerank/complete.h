// Completion: which cells of a given picture's grid are drawn anew, and how the picture is put back where it
// was kept.
#pragma once

#include <cstdint>
#include <vector>

#include "core/image/image.h"

namespace dalle1::rerank {

/// The cells to draw anew; all others keep the tokens of the given picture.
struct Redraw {
  int grid = 0;                ///< G
  std::vector<uint8_t> cells;  ///< [G, G] raster order, 1: redraw

  int count() const;
  bool at(int row, int column) const { return cells[static_cast<size_t>(row) * grid + column] != 0; }
  bool operator==(const Redraw&) const = default;
};

struct Rectangle {
  int x = 0, y = 0, width = 0, height = 0;
};

/// Keeps the top `rows` of the grid. Error(usage) unless 0 < rows < grid.
Redraw keep_top_rows(int grid, int rows);

/// Cells are those of the centred square, to which fit_square() brings a picture for the dVAE.
///
/// Redraws the cells that a rectangle of the given picture's pixels touches. What reaches the bottom right
/// corner is sampled exactly as the model's distribution says; elsewhere cells behind the rectangle are kept
/// although sampling cannot see them. Error(input) when the rectangle leaves the picture or lies outside of
/// its centred square.
Redraw redraw_region(int grid, const Image& picture, const Rectangle& region);

/// Redraws the cells that the marked pixels of `mask` touch: transparent ones if it has alpha (below 128),
/// else white ones (from 128 on). The mask has the size of the given picture: Error(input) otherwise, and
/// when nothing is marked.
Redraw redraw_mask(int grid, const Image& picture, const Image& mask);

/// Redraws everything behind the last redrawn cell in raster order, too.
void redraw_rest(Redraw& redraw);

/// [G * G] the token that a cell must have, -1 where it is sampled.
std::vector<int32_t> forced_cells(const Redraw& redraw, const std::vector<int32_t>& tokens);

/// `generated` where cells were redrawn, `given` elsewhere; both square RGB of one size. On the kept side of
/// the seam, over the width of one cell, the given picture fades into its own reconstruction that `generated`
/// has there, so that no edge shows.
Image paste_kept(const Image& given, const Image& generated, const Redraw& redraw);

}  // namespace dalle1::rerank
