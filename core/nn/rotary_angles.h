// By which angles rotary position embeddings turn (Su et al. 2021), for text followed by a square grid.
#pragma once

#include <cstdint>
#include <vector>

namespace dalle1::nn {

/// Where the positions of a sequence are: `text` of them, then the cells of a grid row by row.
struct RotaryPlaces {
  int32_t text = 0;
  int32_t grid = 0;
};

/// Radians, position after position, head_size / 2 pairs each. The first half of the pairs turns with the
/// cell's row, the second with its column, pair i of n in a half by 0.02^(i / n) a cell; the text does not
/// turn.
std::vector<double> grid_rotary_angles(const RotaryPlaces& places, int32_t head_size);

/// DALLE-pytorch's (its transformer.py), as many. A third of the head's pairs, rounded down, turns with the
/// place in the text, where the picture is at 8192: pair i by 10000^(-2 i / floor(head_size / 3)) a place.
/// The next third turns with the row and the last with the column, which go from -1 to 1 and where the text
/// is at -10: by pi times them in the first pair to 5 pi in the last, in even steps. Pairs that are left do
/// not turn.
std::vector<double> dalle_pytorch_rotary_angles(const RotaryPlaces& places, int32_t head_size);
/// Pairs in such a third.
constexpr int32_t dalle_pytorch_rotary_third(int32_t head_size) { return head_size / 3 / 2; }

}  // namespace dalle1::nn
