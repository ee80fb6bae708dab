#include "rerank/results.h"

#include <doctest/doctest.h>

#include "core/error.h"

using namespace dalle1;
using namespace dalle1::rerank;

namespace {

std::string line_with(const std::string& fields) {
  return R"({"candidate":3,"seed":5,"log_likelihood":-2.5,"tokens":[4,5,6,7])" + fields + "}";
}

}  // namespace

TEST_CASE("forced cells become ranges") {
  const std::vector<int64_t> forced = {7, 0, -1, -1, 3, -1, 8};
  const auto ranges = forced_ranges(forced);
  CHECK(ranges == CellRanges{{0, 2}, {4, 5}, {6, 7}});
  CHECK(count_of(ranges) == 4);
  CHECK(forced_ranges({}).empty());
}

TEST_CASE("a row says which cells were forced, and is read back") {
  const auto row = parse_row(line_with(R"(,"sampled_cells":1,"forced_cells":[[0,2],[3,4]])"), "here");
  CHECK(row.forced == CellRanges{{0, 2}, {3, 4}});
  CHECK(row.says_forced());
  CHECK(parse_row(to_line(row), "here").forced == row.forced);
  const auto whole = parse_row(line_with(R"(,"sampled_cells":4)"), "here");
  CHECK(whole.says_forced());
  CHECK(to_line(whole).find("forced_cells") == std::string::npos);
  CHECK_FALSE(parse_row(line_with(R"(,"sampled_cells":2)"), "here").says_forced());  // as 0.1 wrote it
  for (const char* ranges :
       {"[[0,2]]", "[[2,0],[1,4]]", "[[1,4],[0,0]]", "[[-1,2]]", "[[2,5]]", "[[0]]", "7", "[[3,4],[0,2]]"})
    CHECK_THROWS_AS(
        parse_row(line_with(std::string(R"(,"sampled_cells":1,"forced_cells":)") + ranges), "here"), Error);
}
