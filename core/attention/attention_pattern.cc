#include "core/attention/attention_pattern.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace dalle1 {

namespace {

/// Distance on a ring of `size` places.
int32_t ring_distance(int32_t a, int32_t b, int32_t size) {
  const int32_t d = std::abs(a - b);
  return std::min(d, size - d);
}

/// Whether image position `query` has `key` <= query in its convolutional window.
bool window_sees(const AttentionPattern& pattern, int32_t query, int32_t key) {
  const int32_t grid = pattern.grid, reach = pattern.kernel / 2;
  if (pattern.wrap == ConvWrap::raster) {
    // Offsets r * grid + c with 0 <= r <= reach and |c| <= reach; the smallest r that can reach far enough
    // decides.
    const int32_t offset = query - key;
    const int32_t row = offset <= reach ? 0 : (offset - reach + grid - 1) / grid;
    return row <= reach && row * grid <= offset + reach;
  }
  const int32_t query_row = query / grid, query_column = query % grid;
  const int32_t key_row = key / grid, key_column = key % grid;
  if (pattern.wrap == ConvWrap::corner)
    return query_row - key_row < pattern.kernel && key_column <= query_column &&
           query_column - key_column < pattern.kernel;
  if (pattern.wrap == ConvWrap::none)
    return query_row - key_row <= reach && std::abs(query_column - key_column) <= reach;
  return ring_distance(query_row, key_row, grid) <= reach &&
         ring_distance(query_column, key_column, grid) <= reach;
}

const char* name_of(ConvWrap wrap) {
  switch (wrap) {
    case ConvWrap::none:
      return "none";
    case ConvWrap::raster:
      return "raster";
    case ConvWrap::corner:
      return "corner";
    case ConvWrap::rudalle_v2:
      return "rudalle-v2";
  }
  return "";
}

void validate_table(const AttentionPattern& pattern) {
  check(pattern.table != nullptr, ErrorKind::input,
        "attention pattern: an arbitrary pattern needs a bit table");
  const int32_t length = pattern.length();
  check(pattern.table->length == length && pattern.table->bits.size() == size_t(length) * length,
        ErrorKind::input, "attention pattern: the bit table is {0} x {0}, the sequence has {1} positions",
        pattern.table->length, length);
  for (int32_t query = 0; query < length; ++query) {
    check(pattern.sees(query, query), ErrorKind::input, "attention pattern: position {} does not see itself",
          query);
    for (int32_t key = query + 1; key < length; ++key)
      check(!pattern.sees(query, key), ErrorKind::input,
            "attention pattern: position {} sees {}, which is in its future", query, key);
    for (int32_t key = 0; query >= pattern.text && key < pattern.text; ++key)
      check(pattern.sees(query, key), ErrorKind::input,
            "attention pattern: image position {} does not see text position {}", query - pattern.text, key);
  }
}

/// The state of one tile over the valid places [query, query_end) x [key, key_end).
TileState tile_state(const AttentionPattern& pattern, const std::vector<int32_t>& order, KeyRange queries,
                     KeyRange keys) {
  bool any = false, all = true;
  for (int32_t i = queries.begin; i < queries.end; ++i)
    for (int32_t j = keys.begin; j < keys.end; ++j) {
      const bool seen = pattern.sees(order[i], order[j]);
      any |= seen;
      all &= seen;
      if (any && !all) return TileState::mixed;
    }
  return all ? TileState::full : TileState::empty;
}

}  // namespace

bool AttentionPattern::sees(int32_t query, int32_t key) const {
  if (kind == PatternKind::full) return true;
  if (kind == PatternKind::arbitrary) return table->bits[size_t(query) * table->length + key] != 0;
  if (key > query) return false;
  if (kind == PatternKind::dense || key < text) return true;
  const int32_t query_cell = query - text, key_cell = key - text;
  switch (kind) {
    case PatternKind::row:
      return query_cell - key_cell <= grid;
    case PatternKind::axial_row:
      return query_cell / grid == key_cell / grid;
    case PatternKind::column:
      return (query_cell - key_cell) % grid == 0;
    case PatternKind::conv:
      return window_sees(*this, query_cell, key_cell);
    default:
      return false;
  }
}

AttentionPattern AttentionPattern::full(int32_t length) {
  AttentionPattern pattern;
  pattern.kind = PatternKind::full;
  pattern.length_override = length;
  return pattern;
}

AttentionPattern AttentionPattern::causal(int32_t length) {
  AttentionPattern pattern;
  pattern.length_override = length;
  return pattern;
}

bool AttentionPattern::operator==(const AttentionPattern& other) const {
  if (kind != other.kind || text != other.text || grid != other.grid || length() != other.length())
    return false;
  if (kind == PatternKind::conv) return kernel == other.kernel && wrap == other.wrap;
  if (kind != PatternKind::arbitrary || table == other.table) return true;
  return table && other.table && table->length == other.table->length && table->bits == other.table->bits;
}

void validate(const AttentionPattern& pattern) {
  constexpr int32_t most_text = 1 << 20, widest_grid = 1024;
  check(pattern.text >= 0 && pattern.text <= most_text, ErrorKind::input,
        "attention pattern: {} text positions, expected 0 to {}", pattern.text, most_text);
  check(pattern.grid >= 0 && pattern.grid <= widest_grid, ErrorKind::input,
        "attention pattern: an image grid of side {}, expected 0 to {}", pattern.grid, widest_grid);
  check(pattern.length() > 0, ErrorKind::input, "attention pattern: a sequence of {} positions",
        pattern.length());
  const bool plain = pattern.kind == PatternKind::full || pattern.kind == PatternKind::dense;
  check(plain || pattern.length_override == 0, ErrorKind::input,
        "attention pattern: {} takes its length from text and grid", name_of(pattern));
  check(plain || pattern.kind == PatternKind::arbitrary || pattern.grid > 0, ErrorKind::input,
        "attention pattern: {} needs an image grid", name_of(pattern));
  if (pattern.kind == PatternKind::conv)
    check(pattern.kernel > 0 && pattern.kernel % 2 == 1, ErrorKind::input,
          "attention pattern: a convolutional window of side {}, expected an odd number", pattern.kernel);
  if (pattern.kind == PatternKind::arbitrary) validate_table(pattern);
}

std::vector<uint8_t> to_mask(const AttentionPattern& pattern) {
  const int32_t length = pattern.length();
  std::vector<uint8_t> mask(size_t(length) * length);
  for (int32_t query = 0; query < length; ++query)
    for (int32_t key = 0; key < length; ++key) mask[size_t(query) * length + key] = pattern.sees(query, key);
  return mask;
}

std::vector<KeyRange> key_ranges(const AttentionPattern& pattern, int32_t query) {
  const int32_t end = pattern.kind == PatternKind::full ? pattern.length() : query + 1;
  std::vector<KeyRange> ranges;
  for (int32_t key = 0; key < end; ++key) {
    if (!pattern.sees(query, key)) continue;
    if (!ranges.empty() && ranges.back().end == key)
      ++ranges.back().end;
    else
      ranges.push_back({key, key + 1});
  }
  return ranges;
}

int32_t last_query(const AttentionPattern& pattern, int32_t key) {
  int32_t query = pattern.length() - 1;
  while (query > key && !pattern.sees(query, key)) --query;
  return query;
}

int64_t count_ones(const AttentionPattern& pattern) {
  int64_t ones = 0;
  for (int32_t query = 0; query < pattern.length(); ++query)
    for (const KeyRange& range : key_ranges(pattern, query)) ones += range.end - range.begin;
  return ones;
}

std::vector<int32_t> tile_order(const AttentionPattern& pattern) {
  std::vector<int32_t> order(pattern.length());
  std::iota(order.begin(), order.end(), 0);
  if (pattern.kind == PatternKind::column) {
    int32_t place = pattern.text;
    for (int32_t column = 0; column < pattern.grid; ++column)
      for (int32_t row = 0; row < pattern.grid; ++row)
        order[place++] = pattern.text + row * pattern.grid + column;
  }
  return order;
}

TileMap tile_map(const AttentionPattern& pattern, int tile, int32_t prefix) {
  TileMap map;
  map.tile = tile;
  map.order = tile_order(pattern);
  if (prefix > 0) std::erase_if(map.order, [&](int32_t position) { return position >= prefix; });
  const int32_t length = static_cast<int32_t>(map.order.size());
  map.tiles = (length + tile - 1) / tile;
  const auto range = [&](int index) { return KeyRange{index * tile, std::min((index + 1) * tile, length)}; };
  map.states.resize(size_t(map.tiles) * map.tiles);
  for (int i = 0; i < map.tiles; ++i)
    for (int j = 0; j < map.tiles; ++j)
      map.states[size_t(i) * map.tiles + j] = tile_state(pattern, map.order, range(i), range(j));
  return map;
}

std::string name_of(const AttentionPattern& pattern) {
  switch (pattern.kind) {
    case PatternKind::full:
      return "full";
    case PatternKind::dense:
      return "dense";
    case PatternKind::row:
      return "row";
    case PatternKind::axial_row:
      return "axial_row";
    case PatternKind::column:
      return "column";
    case PatternKind::conv:
      return fmt::format("conv {0}x{0} {1}", pattern.kernel, name_of(pattern.wrap));
    case PatternKind::arbitrary:
      return "arbitrary";
  }
  return "";
}

}  // namespace dalle1
