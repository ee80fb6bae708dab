// The main job: candidates of one prompt in, the best k out.
//
// Candidates are sampled in waves; each wave is decoded to pictures, scored and forgotten but for its tokens
// in the sink and the pictures of the k best so far. Memory does not grow with the number of candidates. A
// run that is cut keeps its finished waves and goes on from them; the result is the same as that of an
// uninterrupted run.
//
// Where candidates are pruned, waves are ranked by their tokens alone; the best of all waves are decoded and
// scored at the end, in parts as large as a wave. The ranking is theirs, and those behind them follow.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/comm/comm.h"
#include "rerank/candidate_source.h"
#include "rerank/metadata.h"
#include "rerank/run_cost.h"
#include "rerank/run_sink.h"
#include "rerank/scorer.h"

namespace dalle1::rerank {

enum class Stage { prefill, sample, decode, score, write };
const char* name_of(Stage stage);

struct PipelineProgress {
  Stage stage = Stage::prefill;
  int candidates_done = 0;  ///< Scored, if by their tokens alone; those of an earlier run included.
  int candidates = 0;
  int64_t tokens_done = 0;  ///< Sampled by this call.
  int64_t tokens = 0;       ///< To be sampled by this call.
  double seconds = 0;
  double tokens_per_second = 0;        ///< While sampling; 0 before.
  std::optional<double> seconds_left;  ///< From the second step on.
  std::optional<double> best_score;
};

/// Called at least once a step; false cancels: the step is finished, complete waves are ranked and written,
/// and the run is marked partial. Where candidates are pruned, a wave of the best is looked at for that.
using ProgressCallback = std::function<bool(const PipelineProgress&)>;

struct PipelineOptions {
  RunInfo info;   ///< With the request: which candidates, how many are kept, texts in the pictures.
  int wave = 64;  ///< Candidates decoded together.
  /// On a GPU bits go by the shape of the work, so the wave [n * wave, (n + 1) * wave) is sampled whole for
  /// any of its candidates; of the others nothing is kept. Off, waves are made of what is wanted alone.
  bool whole_waves = false;
  /// Ranks by tokens, which decides what the request's `prune` leaves; null: nothing is pruned.
  std::shared_ptr<Scorer> judge_of_tokens;
  std::optional<Image> given;  ///< First on the sheet.
  std::function<Image(const Image& generated, uint32_t candidate)>
      finish_picture;  ///< Applied to kept pictures (pasting); may be empty.
  /// Ranks that share the waves: of each round one has the first, the next one the second, and so on. Rank 0
  /// has the sink of the run, ranks and writes; it gets the rows of the others' waves after each round.
  std::shared_ptr<Comm> comm = single_comm();
};

struct PipelineResult {
  bool partial = false;
  int candidates_done = 0;
  std::vector<ResultRow> best;  ///< The kept ones, best first, without tokens.
  StageSeconds seconds;         ///< Of this call.
  double tokens_per_second = 0;
};

/// Runs or resumes; on ranks other than 0 the result says no more than whether it is partial, and the sink is
/// one that keeps nothing for others, such as a MemorySink. Error(model) when the output of a model is not
/// finite or when every picture is constant; then no picture is written. Other errors as of the parts.
PipelineResult run_pipeline(CandidateSource& source, PictureDecoder& decoder, Scorer& scorer,
                            const PipelineOptions& options, RunSink& sink,
                            const ProgressCallback& progress = {});

}  // namespace dalle1::rerank
