#include "core/attention/attention_plan.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace dalle1 {
namespace {

/// Gives equal masks one index.
class MaskTable {
 public:
  explicit MaskTable(std::vector<TileMask>& masks) : masks_(masks) {}
  int32_t index(const TileMask& mask) {
    const auto [place, added] = known_.try_emplace(mask, static_cast<int32_t>(masks_.size()));
    if (added) masks_.push_back(mask);
    return place->second;
  }

 private:
  std::vector<TileMask>& masks_;
  std::map<TileMask, int32_t> known_;
};

TileMask tile_mask(const AttentionPattern& pattern, const AttentionPlan& plan, int query_tile, int key_tile) {
  TileMask mask{};
  const int first_query = query_tile * attention_tile, first_key = key_tile * attention_tile;
  const int rows = std::min(attention_tile, plan.queries - first_query);
  const int columns = std::min(attention_tile, plan.keys - first_key);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      if (pattern.sees(plan.query_order[first_query + r], plan.key_order[first_key + c])) mask[r] |= 1u << c;
  return mask;
}

AttentionPlan full_plan(int32_t queries, int32_t keys) {
  AttentionPlan plan;
  plan.queries = queries;
  plan.keys = keys;
  plan.query_order.resize(queries);
  plan.key_order.resize(keys);
  std::iota(plan.query_order.begin(), plan.query_order.end(), 0);
  std::iota(plan.key_order.begin(), plan.key_order.end(), 0);
  const int last = keys % attention_tile;
  if (last) plan.masks.emplace_back().fill((1u << last) - 1);
  for (int32_t first = 0; first < queries; first += attention_tile) {
    plan.begin.push_back(static_cast<int32_t>(plan.visits.size()));
    for (int j = 0; j < plan.key_tiles(); ++j)
      plan.visits.push_back({j, last && j + 1 == plan.key_tiles() ? 0 : -1});
  }
  plan.begin.push_back(static_cast<int32_t>(plan.visits.size()));
  return plan;
}

}  // namespace

AttentionTiles AttentionPlan::tiles() const {
  AttentionTiles tiles;
  tiles.queries = queries;
  tiles.keys = keys;
  tiles.key_tiles = key_tiles();
  tiles.query_order = query_order.data();
  tiles.key_order = key_order.data();
  tiles.begin = begin.data();
  tiles.visits = visits.data();
  tiles.masks = masks.empty() ? nullptr : masks.front().data();
  return tiles;
}

AttentionPlan make_attention_plan(const AttentionPattern& pattern, int32_t queries, int32_t keys) {
  if (pattern.kind == PatternKind::full) return full_plan(queries, keys);
  check(queries == keys && keys <= pattern.length(), ErrorKind::internal,
        "attention: {} queries and {} keys do not fit the {} pattern of {} positions", queries, keys,
        name_of(pattern), pattern.length());
  const TileMap map = tile_map(pattern, attention_tile, keys);
  AttentionPlan plan;
  plan.queries = queries;
  plan.keys = keys;
  plan.query_order = plan.key_order = map.order;
  MaskTable table(plan.masks);
  for (int i = 0; i < map.tiles; ++i) {
    plan.begin.push_back(static_cast<int32_t>(plan.visits.size()));
    for (int j = 0; j < map.tiles; ++j) {
      const TileState state = map.at(i, j);
      if (state == TileState::empty) continue;
      const bool whole = state == TileState::full && (j + 1) * attention_tile <= keys;
      plan.visits.push_back({j, whole ? -1 : table.index(tile_mask(pattern, plan, i, j))});
    }
  }
  plan.begin.push_back(static_cast<int32_t>(plan.visits.size()));
  return plan;
}

}  // namespace dalle1
