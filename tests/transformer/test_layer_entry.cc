// Entries of a schedule's list: windows of their own, tables from files, random controls.
#include <doctest/doctest.h>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "tests/support/golden.h"
#include "transformer/config.h"
#include "transformer/layer_entry.h"

namespace dalle1::test {
namespace {

using namespace transformer;

const EntryPlace kPlace = {6, 4, 3, "none"};  // 6 text positions, a 4 x 4 grid

int64_t ones_of_query(const AttentionPattern& pattern, int32_t query) {
  int64_t ones = 0;
  for (int32_t key = 0; key < pattern.length(); ++key) ones += pattern.sees(query, key);
  return ones;
}

TEST_CASE("a convolution may bring its own window and borders") {
  CHECK(name_of(pattern_of_entry("conv", kPlace, 6)) == "conv 3x3 none");
  CHECK(name_of(pattern_of_entry("conv:5", kPlace, 6)) == "conv 5x5 none");
  CHECK(name_of(pattern_of_entry("conv:7:raster", kPlace, 6)) == "conv 7x7 raster");
  for (const char* bad : {"conv:4", "conv:x", "conv:3:torus", "spiral", "row:1", "random:1", "random:x:row",
                          "random:1:random:2:row", "table:"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(validate_entry(bad, kPlace), Error);
  }
}

TEST_CASE("a random control has each query's ones, sees itself and the text, and differs by seed alone") {
  for (const char* like : {"row", "column", "conv:3:raster", "dense"}) {
    CAPTURE(like);
    const std::string one = std::string("random:1:") + like, two = std::string("random:2:") + like;
    CHECK_NOTHROW(validate_entry(one, kPlace));
    const auto drawn = pattern_of_entry(one, kPlace, 6), wanted = pattern_of_entry(like, kPlace, 6);
    for (int32_t query = 0; query < 22; ++query)
      CHECK(ones_of_query(drawn, query) == ones_of_query(wanted, query));
    const bool dense = std::string(like) == "dense";
    CHECK((to_mask(drawn) == to_mask(pattern_of_entry(two, kPlace, 6))) == dense);
    CHECK(drawn == pattern_of_entry(one, kPlace, 6));
  }
}

TEST_CASE("a table keeps its picture when text slots are left out") {
  const ScratchDir scratch;
  const auto row = pattern_of_entry("row", kPlace, 6);
  const auto bits = to_mask(row);
  write_npy(scratch / "row.npy", {22, 22}, bits);
  Image picture(22, 22, 1);
  for (size_t i = 0; i < bits.size(); ++i) picture.pixels[i] = bits[i] ? 255 : 0;
  write_png(scratch / "row.png", picture);
  for (const char* name : {"row.npy", "row.png"}) {
    const std::string entry = "table:" + (scratch / name).string();
    CHECK(to_mask(pattern_of_entry(entry, kPlace, 6)) == bits);
    CHECK(to_mask(pattern_of_entry(entry, kPlace, 3)) == to_mask(pattern_of_entry("row", kPlace, 3)));
  }
  const EntryPlace larger = {7, 4, 3, "none"};
  CHECK_THROWS_WITH_AS(validate_entry("table:" + (scratch / "row.npy").string(), larger),
                       doctest::Contains("22x22"), Error);
  std::vector<uint8_t> future = bits;
  future[3 * 22 + 4] = 1;
  write_npy(scratch / "future.npy", {22, 22}, future);
  CHECK_THROWS_WITH_AS(validate_entry("table:" + (scratch / "future.npy").string(), kPlace),
                       doctest::Contains("position 3 sees 4"), Error);
}

}  // namespace
}  // namespace dalle1::test
