// Every view of a pattern agrees with sees(); sees() agrees with the published masks.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/attention/attention_pattern.h"
#include "core/data/npy.h"
#include "core/io/file_bytes.h"
#include "core/text/gzip.h"
#include "tests/support/golden.h"

namespace dalle1 {
namespace {

AttentionPattern pattern_of(PatternKind kind, int32_t text, int32_t grid, int32_t kernel = 0,
                            ConvWrap wrap = ConvWrap::raster) {
  AttentionPattern pattern;
  pattern.kind = kind;
  pattern.text = text;
  pattern.grid = grid;
  pattern.kernel = kernel;
  pattern.wrap = wrap;
  return pattern;
}

AttentionPattern table_pattern(int32_t text, int32_t grid) {
  AttentionPattern pattern = pattern_of(PatternKind::arbitrary, text, grid);
  auto table = std::make_shared<PatternBits>();
  table->length = pattern.length();
  for (int32_t i = 0; i < table->length; ++i)
    for (int32_t j = 0; j < table->length; ++j)
      table->bits.push_back(j <= i && (j < text || i == j || (i * 7 + j * 3) % 5 < 2));
  pattern.table = table;
  return pattern;
}

/// Small grids of every kind, with windows narrower and wider than the grid.
std::vector<AttentionPattern> causal_patterns() {
  std::vector<AttentionPattern> all;
  for (const auto& [text, grid] : {std::pair{6, 4}, {0, 5}, {3, 1}, {37, 9}}) {
    for (PatternKind kind : {PatternKind::dense, PatternKind::row, PatternKind::column})
      all.push_back(pattern_of(kind, text, grid));
    for (ConvWrap wrap : {ConvWrap::none, ConvWrap::raster, ConvWrap::rudalle_v2})
      for (int32_t kernel : {1, 3, 11})
        all.push_back(pattern_of(PatternKind::conv, text, grid, kernel, wrap));
    all.push_back(table_pattern(text, grid));
  }
  all.push_back(AttentionPattern::causal(13));
  all.push_back(pattern_of(PatternKind::dense, 7, 0));
  return all;
}

std::vector<AttentionPattern> all_patterns() {
  auto all = causal_patterns();
  all.push_back(AttentionPattern::full(17));
  return all;
}

struct TileCount {
  int seen = 0, places = 0;
};

TileCount count_tile(const AttentionPattern& pattern, const TileMap& map, int query_tile, int key_tile) {
  TileCount count;
  const int length = static_cast<int>(map.order.size());
  for (int i = query_tile * map.tile; i < std::min(length, (query_tile + 1) * map.tile); ++i)
    for (int j = key_tile * map.tile; j < std::min(length, (key_tile + 1) * map.tile); ++j) {
      ++count.places;
      count.seen += pattern.sees(map.order[i], map.order[j]);
    }
  return count;
}

std::vector<uint8_t> golden_bits(const std::string& name, int32_t length) {
  const auto path = test::golden("rudalle_masks/" + name);
  if (path.extension() != ".gz") {
    const NpyArray array = read_npy(path);
    return {array.values<uint8_t>().begin(), array.values<uint8_t>().end()};
  }
  const NpyArray array = decode_npy(text::gunzip(read_file(path, 1 << 20), 1 << 20, name),
                                    name);  // numpy.packbits along the keys
  std::vector<uint8_t> bits;
  const int32_t row = (length + 7) / 8;
  for (int32_t i = 0; i < length; ++i)
    for (int32_t j = 0; j < length; ++j)
      bits.push_back(array.values<uint8_t>()[i * row + j / 8] >> (7 - j % 8) & 1);
  return bits;
}

}  // namespace

TEST_CASE("the masks of ru-dalle, bit for bit") {
  struct Golden {
    const char* name;
    AttentionPattern pattern;
    int64_t ones;
  };
  const auto conv = [](int32_t text, int32_t grid, int32_t kernel, ConvWrap wrap) {
    return pattern_of(PatternKind::conv, text, grid, kernel, wrap);
  };
  const Golden masks[] = {
      {"mask_t6_g4_row.npy", pattern_of(PatternKind::row, 6, 4), 187},
      {"mask_t6_g4_col.npy", pattern_of(PatternKind::column, 6, 4), 157},
      {"mask_t6_g4_conv_v3.npy", conv(6, 4, 3, ConvWrap::none), 175},
      {"mask_t6_g4_conv_v2.npy", conv(6, 4, 3, ConvWrap::rudalle_v2), 197},
      {"mask_t128_g32_row.npy.gz", pattern_of(PatternKind::row, 128, 32), 172592},
      {"mask_t128_g32_col.npy.gz", pattern_of(PatternKind::column, 128, 32), 156224},
      {"mask_t128_g32_conv_v3.npy.gz", conv(128, 32, 11, ConvWrap::none), 191682},
      {"mask_t128_g32_conv_v2.npy.gz", conv(128, 32, 11, ConvWrap::rudalle_v2), 201792},
  };
  for (const Golden& mask : masks) {
    CAPTURE(mask.name);
    CHECK(to_mask(mask.pattern) == golden_bits(mask.name, mask.pattern.length()));
    CHECK(count_ones(mask.pattern) == mask.ones);
  }
}

TEST_CASE("the row and raster conv patterns are sets of raster offsets") {
  const int32_t grid = 6, reach = 2;
  const AttentionPattern row = pattern_of(PatternKind::row, 0, grid);
  const AttentionPattern conv = pattern_of(PatternKind::conv, 0, grid, 2 * reach + 1, ConvWrap::raster);
  for (int32_t query = 0; query < grid * grid; ++query)
    for (int32_t key = 0; key < grid * grid; ++key) {
      const int32_t offset = query - key;
      CHECK(row.sees(query, key) == (0 <= offset && offset <= grid));
      bool in_window = false;
      for (int32_t r = 0; r <= reach; ++r)
        for (int32_t c = -reach; c <= reach; ++c) in_window |= offset >= 0 && offset == r * grid + c;
      CHECK(conv.sees(query, key) == in_window);
    }
}

TEST_CASE("no query sees the future; each sees itself; image queries see all of the text") {
  for (const AttentionPattern& pattern : causal_patterns()) {
    CAPTURE(name_of(pattern));
    CHECK_NOTHROW(validate(pattern));
    int64_t future = 0, blind = 0, missing_text = 0;
    for (int32_t query = 0; query < pattern.length(); ++query) {
      blind += !pattern.sees(query, query);
      for (int32_t key = query + 1; key < pattern.length(); ++key) future += pattern.sees(query, key);
      for (int32_t key = 0; query >= pattern.text && key < pattern.text; ++key)
        missing_text += !pattern.sees(query, key);
    }
    CHECK(future == 0);
    CHECK(blind == 0);
    CHECK(missing_text == 0);
  }
}

TEST_CASE("only ru-dalle v2's wrap reaches beyond a window: last rows see the first across the border") {
  const auto conv = [](ConvWrap wrap) { return pattern_of(PatternKind::conv, 0, 8, 3, wrap); };
  const int32_t top = 3, bottom = 7 * 8 + 3;  // the same column of the first and the last row
  CHECK(conv(ConvWrap::rudalle_v2).sees(bottom, top));
  CHECK_FALSE(conv(ConvWrap::raster).sees(bottom, top));
  CHECK_FALSE(conv(ConvWrap::none).sees(bottom, top));
  const int32_t left = 8, right = 15;  // the ends of the second row
  CHECK(conv(ConvWrap::rudalle_v2).sees(right, left));
  CHECK(conv(ConvWrap::raster).sees(16, right));  // offset 1, over the row's end
  CHECK_FALSE(conv(ConvWrap::none).sees(16, right));
}

TEST_CASE("all views agree with sees") {
  for (const AttentionPattern& pattern : all_patterns()) {
    CAPTURE(name_of(pattern));
    const int32_t length = pattern.length();
    const auto mask = to_mask(pattern);
    int64_t ones = 0, wrong = 0;
    std::vector<int32_t> last(length, -1);
    for (int32_t query = 0; query < length; ++query) {
      std::vector<uint8_t> row(length, 0);
      int32_t before = -1;
      for (const KeyRange& range : key_ranges(pattern, query)) {
        CHECK(range.begin < range.end);
        CHECK(range.begin > before);  // maximal: a gap lies between two ranges
        before = range.end;
        std::fill(row.begin() + range.begin, row.begin() + range.end, 1);
      }
      for (int32_t key = 0; key < length; ++key) {
        const bool seen = pattern.sees(query, key);
        wrong += mask[query * length + key] != seen || row[key] != seen;
        ones += seen;
        if (seen) last[key] = query;
      }
    }
    CHECK(wrong == 0);
    CHECK(count_ones(pattern) == ones);
    for (int32_t key = 0; key < length; ++key) CHECK(last_query(pattern, key) == last[key]);
  }
}

TEST_CASE("tile maps say empty, full or mixed as sees does, for every tile size and prefix") {
  for (const AttentionPattern& pattern : all_patterns())
    for (int tile : {1, 4, 32})
      for (int32_t prefix : {0, 1, pattern.length() - 1}) {
        if (prefix > pattern.length() || prefix < 0) continue;
        CAPTURE(name_of(pattern));
        const TileMap map = tile_map(pattern, tile, prefix);
        auto sorted = map.order;
        std::sort(sorted.begin(), sorted.end());
        REQUIRE(static_cast<int32_t>(sorted.size()) == (prefix ? prefix : pattern.length()));
        for (size_t i = 0; i < sorted.size(); ++i) REQUIRE(sorted[i] == static_cast<int32_t>(i));
        for (int i = 0; i < map.tiles; ++i)
          for (int j = 0; j < map.tiles; ++j) {
            const TileCount count = count_tile(pattern, map, i, j);
            const TileState expected = count.seen == 0              ? TileState::empty
                                       : count.seen == count.places ? TileState::full
                                                                    : TileState::mixed;
            REQUIRE(map.at(i, j) == expected);
          }
      }
}

TEST_CASE("column-major order leaves a column pattern one mixed tile per image column") {
  const TileMap map = tile_map(pattern_of(PatternKind::column, 64, 32), 32);
  for (int i = 2; i < map.tiles; ++i)
    for (int j = 2; j < map.tiles; ++j) CHECK(map.at(i, j) == (i == j ? TileState::mixed : TileState::empty));
}

TEST_CASE("patterns that cannot work are refused") {
  const auto refused = [](const AttentionPattern& pattern) { CHECK_THROWS_AS(validate(pattern), Error); };
  refused(pattern_of(PatternKind::row, 4, 0));
  refused(pattern_of(PatternKind::dense, -1, 4));
  refused(pattern_of(PatternKind::dense, 0, 0));
  refused(pattern_of(PatternKind::conv, 4, 4, 2));
  refused(pattern_of(PatternKind::conv, 4, 4, 0));
  refused(pattern_of(PatternKind::arbitrary, 4, 4));
  const auto changed = [&](int32_t query, int32_t key, uint8_t bit) {
    AttentionPattern pattern = table_pattern(3, 2);
    auto table = std::make_shared<PatternBits>(*pattern.table);
    table->bits[query * table->length + key] = bit;
    pattern.table = table;
    refused(pattern);
  };
  changed(1, 2, 1);  // the future
  changed(5, 5, 0);  // itself
  changed(4, 1, 0);  // text of an image query
  AttentionPattern pattern = table_pattern(3, 2);
  pattern.text = 4;  // the table is too small
  refused(pattern);
}

TEST_CASE("equal patterns compare equal, tables by their bits") {
  const auto all = all_patterns();
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < all.size(); ++j) {
      const bool same = all[i] == all[j];
      if (i == j) CHECK(same);
      if (same) CHECK(to_mask(all[i]) == to_mask(all[j]));
    }
  CHECK(table_pattern(6, 4) == table_pattern(6, 4));
  CHECK_FALSE(pattern_of(PatternKind::conv, 6, 4, 3) == pattern_of(PatternKind::conv, 6, 4, 5));
}

TEST_CASE("patterns have names") {
  CHECK(name_of(pattern_of(PatternKind::conv, 1, 8, 11, ConvWrap::rudalle_v2)) == "conv 11x11 rudalle-v2");
  CHECK(name_of(pattern_of(PatternKind::row, 1, 8)) == "row");
}

}  // namespace dalle1
