// A pipeline that runs in a folder, as the program's do.
#pragma once

#include "rerank/pipeline.h"
#include "rerank/run_folder.h"

namespace dalle1::test {

struct FolderRun : rerank::PipelineOptions {
  std::filesystem::path folder;
  rerank::Existing existing = rerank::Existing::refuse;
  rerank::Json options = rerank::Json::object();  ///< Of run.json.

  /// Candidates 0, 1, ..., count - 1.
  void draw(int count) {
    info.request.candidates = count;
    info.request.only.clear();
  }
  void draw_only(std::vector<uint32_t> candidates) { info.request.only = std::move(candidates); }
};

inline rerank::PipelineResult run_pipeline(rerank::CandidateSource& source, rerank::PictureDecoder& decoder,
                                           rerank::Scorer& scorer, const FolderRun& run,
                                           const rerank::ProgressCallback& progress = {}) {
  rerank::RunFolder sink(run.folder, run.existing, run.options);
  return rerank::run_pipeline(source, decoder, scorer, run, sink, progress);
}

}  // namespace dalle1::test
