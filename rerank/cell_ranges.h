// Cells of a grid as ranges in raster order: which of a candidate's were given and not sampled.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dalle1::rerank {

/// Cells [begin, end).
struct CellRange {
  int32_t begin = 0, end = 0;
  bool operator==(const CellRange&) const = default;
};
/// Ascending; none is empty, and none touches the next.
using CellRanges = std::vector<CellRange>;

/// Of `forced` [G * G]: a token, or -1 where the cell is sampled.
CellRanges forced_ranges(std::span<const int64_t> forced);
int32_t count_of(const CellRanges& ranges);

}  // namespace dalle1::rerank
