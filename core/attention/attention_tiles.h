// A pattern in tiles, as plain arrays: what kernels of every device walk.
#pragma once

#include <cstdint>

namespace dalle1 {

/// Positions along one side of a tile.
constexpr int attention_tile = 32;

/// One tile of keys that a tile of queries visits.
struct AttentionVisit {
  int32_t key_tile = 0;
  int32_t mask = -1;  ///< Index of the tile's mask; -1: every query sees every key.
};

/// An AttentionPlan as plain arrays: kernels compiled for one instruction set share no inline code with the
/// others.
struct AttentionTiles {
  int32_t queries = 0, keys = 0, key_tiles = 0;
  const int32_t* query_order = nullptr;
  const int32_t* key_order = nullptr;
  const int32_t* begin = nullptr;
  const AttentionVisit* visits = nullptr;
  const uint32_t* masks = nullptr;  ///< attention_tile rows each
};

}  // namespace dalle1
