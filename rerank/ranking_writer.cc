#include "rerank/ranking_writer.h"

#include <fmt/format.h>

namespace dalle1::rerank {
namespace {

constexpr size_t kMostOnSheet = 128;

}  // namespace

RankingWriter::RankingWriter(const PipelineOptions& options, const RunInfo& info, int picture_size,
                             bool partial, RunSink& sink)
    : options_(options), info_(info), picture_size_(picture_size), partial_(partial), sink_(sink) {
  if (options.given) cells_.push_back({*options.given, "given", true});
}

void RankingWriter::add(const ResultRow& row, Image picture) {
  if (options_.finish_picture) picture = options_.finish_picture(picture, row.candidate);
  const auto texts = info_.request.no_metadata ? std::vector<PngText>()
                                               : picture_metadata(info_, row, picture.width, partial_);
  sink_.picture(row, picture, texts);
  ++kept_;
  if (cells_.size() < kMostOnSheet)
    cells_.push_back({std::move(picture), caption_of(row), false, brief_caption_of(row)});
}

void RankingWriter::finish(const std::vector<ResultRow>& rows) {
  write_sheet(rows.size());
  sink_.ranking(rows);
}

void RankingWriter::write_sheet(size_t candidates) {
  const size_t shown = cells_.size() - (options_.given ? 1 : 0);
  const auto cut = shown < kept_ ? fmt::format(", first {} shown", shown) : "";
  SheetOptions sheet;
  sheet.title = fmt::format("{}   seed {}, best {} of {}{}{}", info_.request.prompt, info_.request.seed,
                            kept_, candidates, cut, partial_ ? " (partial)" : "");
  const auto texts = info_.request.no_metadata
                         ? std::vector<PngText>()
                         : sheet_metadata(info_, static_cast<int>(candidates), static_cast<int>(kept_),
                                          picture_size_, partial_);
  sink_.sheet(draw_sheet(cells_, sheet), texts);
}

}  // namespace dalle1::rerank
