// Which positions attention may see: a plain value with one rule, sees(query, key), from which everything
// else derives.
//
// A sequence is `text` text positions followed by grid * grid image positions in raster order (DALL-E
// paper, 2.2 and appendix B, figure 11). Text is causal; every image position sees all of the text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace dalle1 {

enum class PatternKind : uint8_t {
  full,       ///< Every query sees every key (CLIP's image encoder, attention pooling).
  dense,      ///< Causal: this and all earlier positions.
  row,        ///< Raster offsets 0..grid: itself and the `grid` positions before.
  axial_row,  ///< Itself and what is before it in its row (DALLE-pytorch).
  column,     ///< The same column in this and all earlier rows.
  conv,       ///< kernel x kernel window, causal part.
  arbitrary   ///< A bit table.
};

/// What a convolutional window does at the borders of the grid.
enum class ConvWrap : uint8_t {
  none,       ///< Clipped.
  raster,     ///< By raster offset: runs over row ends, as the row pattern does (the paper).
  corner,     ///< Clipped, with the query in the corner: kernel rows up, kernel columns left (DALLE-pytorch).
  rudalle_v2  ///< Both coordinates modulo the grid, as ru-dalle v2 has it. Sees across left and right edges.
};

/// Consecutive keys [begin, end).
struct KeyRange {
  int32_t begin = 0;
  int32_t end = 0;
  bool operator==(const KeyRange&) const = default;
};

enum class TileState : uint8_t { empty, full, mixed };

/// Tiles of a reordered sequence: order[i] is the position at place i.
struct TileMap {
  int tile = 0;   ///< Side of a tile.
  int tiles = 0;  ///< Tiles along one side, the last one possibly partial.
  std::vector<int32_t> order;
  std::vector<TileState> states;  ///< [tiles, tiles], queries by keys.
  TileState at(int query_tile, int key_tile) const { return states[query_tile * tiles + key_tile]; }
};

/// A bit table of [length, length], queries by keys.
struct PatternBits {
  int32_t length = 0;
  std::vector<uint8_t> bits;  ///< One byte per entry, 0 or 1.
};

struct AttentionPattern {
  PatternKind kind = PatternKind::dense;
  int32_t text = 0;    ///< Text positions.
  int32_t grid = 0;    ///< Side of the image grid; 0 for a sequence without image.
  int32_t kernel = 0;  ///< Side of the window, odd (conv).
  ConvWrap wrap = ConvWrap::raster;
  std::shared_ptr<const PatternBits> table;  ///< arbitrary only.
  int32_t length_override = 0;               ///< For full and dense without a grid: the length; else 0.

  int32_t length() const { return length_override ? length_override : text + grid * grid; }
  bool sees(int32_t query, int32_t key) const;

  static AttentionPattern full(int32_t length);
  static AttentionPattern causal(int32_t length);  ///< dense over a plain sequence.

  bool operator==(const AttentionPattern&) const;
};

/// Throws Error(input) when the pattern is not usable: bad sizes, an even kernel, a table of the wrong
/// length, a query that sees the future (unless full), does not see itself, or is an image query that misses
/// text.
void validate(const AttentionPattern& pattern);

/// Bits as [length, length] of 0 and 1. For reference attention, pictures and tests only.
std::vector<uint8_t> to_mask(const AttentionPattern& pattern);
/// Keys seen by a query, as maximal ranges in order of position.
std::vector<KeyRange> key_ranges(const AttentionPattern& pattern, int32_t query);
/// The last query that sees a key; cached decoding may forget the key after it.
int32_t last_query(const AttentionPattern& pattern, int32_t key);
int64_t count_ones(const AttentionPattern& pattern);
/// The order of positions in which tiles of this pattern become empty or full: column-major image for column
/// patterns.
std::vector<int32_t> tile_order(const AttentionPattern& pattern);
/// With `prefix` > 0: of the sequence's first `prefix` positions alone.
TileMap tile_map(const AttentionPattern& pattern, int tile, int32_t prefix = 0);

/// "row", "column", "conv 11x11 raster", ...
std::string name_of(const AttentionPattern& pattern);

}  // namespace dalle1
