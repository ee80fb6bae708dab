#include "rerank/cell_ranges.h"

namespace dalle1::rerank {

CellRanges forced_ranges(std::span<const int64_t> forced) {
  CellRanges ranges;
  for (int32_t cell = 0; cell < static_cast<int32_t>(forced.size()); ++cell) {
    if (forced[static_cast<size_t>(cell)] < 0) continue;
    if (ranges.empty() || ranges.back().end != cell) ranges.push_back({cell, cell});
    ++ranges.back().end;
  }
  return ranges;
}

int32_t count_of(const CellRanges& ranges) {
  int32_t count = 0;
  for (const auto& range : ranges) count += range.end - range.begin;
  return count;
}

}  // namespace dalle1::rerank
