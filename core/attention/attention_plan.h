// How tiled attention walks a pattern: which tiles of keys each tile of queries visits, and the bits of
// those that it sees in part.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/attention/attention_pattern.h"
#include "core/attention/attention_tiles.h"

namespace dalle1 {

/// Row r, bit c: whether place r of the query tile sees place c of the key tile.
using TileMask = std::array<uint32_t, attention_tile>;

struct AttentionPlan {
  int32_t queries = 0, keys = 0;
  std::vector<int32_t> query_order, key_order;  ///< Positions by place.
  std::vector<int32_t> begin;                   ///< First visit of each query tile, and the end.
  std::vector<AttentionVisit> visits;           ///< Key tiles in order.
  std::vector<TileMask> masks;                  ///< Distinct; places beyond the keys are 0.

  int query_tiles() const { return static_cast<int>(begin.size()) - 1; }
  int key_tiles() const { return (keys + attention_tile - 1) / attention_tile; }
  AttentionTiles tiles() const;  ///< Valid as long as the plan.
};

/// `full` takes any number of queries and keys; other kinds take as many queries as keys, the whole sequence
/// or its first positions.
AttentionPlan make_attention_plan(const AttentionPattern& pattern, int32_t queries, int32_t keys);

}  // namespace dalle1
