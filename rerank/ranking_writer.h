// The end of a run: kept pictures with their metadata, the sheet, all rows.
#pragma once

#include <vector>

#include "core/image/sheet.h"
#include "rerank/pipeline.h"

namespace dalle1::rerank {

class RankingWriter {
 public:
  /// All of it is kept by the caller. `picture_size`: pixels of one side.
  RankingWriter(const PipelineOptions& options, const RunInfo& info, int picture_size, bool partial,
                RunSink& sink);

  /// The kept ones, best first.
  void add(const ResultRow& row, Image picture);
  /// All rows, best first.
  void finish(const std::vector<ResultRow>& rows);

 private:
  void write_sheet(size_t candidates);

  const PipelineOptions& options_;
  const RunInfo& info_;
  int picture_size_;
  bool partial_;
  RunSink& sink_;
  std::vector<SheetCell> cells_;
  size_t kept_ = 0;
};

}  // namespace dalle1::rerank
