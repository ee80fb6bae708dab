#include "rerank/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/comm/agreement.h"
#include "core/error.h"
#include "rerank/previewer.h"
#include "rerank/ranking_writer.h"
#include "rerank/shared_waves.h"
#include "rerank/top_k.h"
#include "rerank/wave_rows.h"

namespace dalle1::rerank {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Adds the time of its life to a stage.
class StageTimer {
 public:
  explicit StageTimer(double& seconds) : seconds_(seconds), begin_(now()) {}
  ~StageTimer() { seconds_ += now() - begin_; }

 private:
  double& seconds_;
  double begin_;
};

class Pipeline {
 public:
  Pipeline(CandidateSource& source, PictureDecoder& decoder, Scorer& scorer, const PipelineOptions& options,
           RunSink& sink, const ProgressCallback& progress)
      : source_(source),
        decoder_(decoder),
        scorer_(scorer),
        options_(options),
        comm_(*options.comm),
        callback_(progress),
        sink_(sink),
        earlier_cost_(sink.earlier_cost()),
        candidates_(options.info.request.candidate_indices()),
        best_(static_cast<size_t>(options.info.request.keep)),
        info_(options.info) {
    info_.cells = source.cells();
  }

  PipelineResult run() {
    const auto finished = sink_.finished();
    if (of_root(comm_, finished.has_value()).get<bool>())
      return finished ? earlier_result(*finished) : PipelineResult();
    tell_state("running");
    take_up_saved_waves();
    std::vector<uint32_t> pending;
    for (const auto candidate : candidates_)
      if (!sink_.has(candidate)) pending.push_back(candidate);
    pending = pending_of_root(comm_, pending);
    state_.tokens = static_cast<int64_t>(pending.size()) * source_.cells();
    if (!pending.empty()) sample_all(pending);
    if (options_.judge_of_tokens && comm_.is_root()) look_at_best();
    return finish();
  }

 private:
  bool report(Stage stage) {
    state_.stage = stage;
    state_.candidates = static_cast<int>(candidates_.size());
    state_.candidates_done = static_cast<int>(rows_.size());
    state_.seconds = now() - begin_;
    if (callback_ && !callback_(state_)) cancelled_ = true;
    return !cancelled_;
  }

  // What a finished run left.
  static PipelineResult earlier_result(const std::vector<ResultRow>& rows) {
    PipelineResult result;
    result.candidates_done = static_cast<int>(rows.size());
    for (const auto& row : rows)
      if (!row.file.empty()) result.best.push_back(row);
    return result;
  }

  // Scores what an earlier call sampled but did not score.
  void take_up_saved_waves() {
    for (size_t number = 0; number < sink_.saved_waves(); ++number) {
      auto [where, rows] = sink_.saved_wave(number);
      for (auto& row : rows) {
        check(static_cast<int>(row.tokens.size()) == source_.cells(), ErrorKind::input,
              "{}: candidate {} has {} tokens, the model has {}", where, row.candidate, row.tokens.size(),
              source_.cells());
        row.forced = source_.forced(row.candidate);  // version 0.1 did not write it
      }
      const bool scored = std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.scored(); });
      if (!scored) score(rows);
      if (scored) already_done_ += rows.size();
      for (auto& row : rows) accept(std::move(row), std::nullopt);
      if (!scored) tell_state("running");
      if (!report(Stage::score)) return;
    }
  }

  void sample_all(const std::vector<uint32_t>& pending) {
    report(Stage::prefill);
    if (cancelled_by_any()) return;
    {
      StageTimer timer(seconds_.prefill);
      source_.prefill();
    }
    for (std::span<const uint32_t> rest = pending; !rest.empty();) {
      // A round: a wave for each rank, or for as many as there are.
      std::span<const uint32_t> mine;
      const size_t before = rest.size();
      for (int rank = 0; rank < comm_.size() && !rest.empty(); ++rank) {
        const auto wave = rest.first(next_wave(rest));
        if (rank == comm_.rank()) mine = wave;
        rest = rest.subspan(wave.size());
      }
      in_round_ = static_cast<int64_t>(before - rest.size());
      finish_round(mine.empty() ? ScoredWave() : make_wave(mine));
      if (cancelled_by_any()) return;
    }
  }

  struct ScoredWave {
    std::vector<ResultRow> rows;  // none when it was cancelled
    std::vector<std::optional<Image>> pictures;
  };

  ScoredWave make_wave(std::span<const uint32_t> candidates) {
    const auto wave = sample_wave(candidates);
    if (!wave) return {};
    ScoredWave scored{rows_of(*wave, info_.request.seed), {}};
    sink_.save_wave(scored.rows);
    scored.pictures = score(scored.rows);
    return scored;
  }

  // Takes in this rank's wave, and on rank 0 those of the others.
  void finish_round(ScoredWave mine) {
    if (comm_.size() > 1) {
      auto waves = gather_waves(comm_, mine.rows);
      for (size_t rank = 1; comm_.is_root() && rank < waves.size(); ++rank) {
        if (waves[rank].empty()) continue;
        sink_.save_wave(waves[rank]);
        already_done_ += waves[rank].size();
        for (auto& row : waves[rank]) accept(std::move(row), std::nullopt);
      }
    }
    for (size_t i = 0; i < mine.rows.size(); ++i)
      accept(std::move(mine.rows[i]), std::move(mine.pictures[i]));
    if (cancelled_) return;
    tell_state("running");
    state_.seconds_left = seconds_left();
    report(Stage::score);
  }

  bool cancelled_by_any() { return cancelled_ = on_any(comm_, cancelled_); }

  // How many of the pending candidates, which ascend, come next.
  size_t next_wave(std::span<const uint32_t> pending) const {
    const auto wave = static_cast<uint32_t>(options_.wave);
    if (!options_.whole_waves) return std::min<size_t>(wave, pending.size());
    const auto other = std::find_if(pending.begin(), pending.end(),
                                    [&](uint32_t c) { return c / wave != pending[0] / wave; });
    return static_cast<size_t>(other - pending.begin());
  }

  // The candidates that are sampled for these.
  std::vector<uint32_t> together_with(std::span<const uint32_t> candidates) const {
    if (!options_.whole_waves) return {candidates.begin(), candidates.end()};
    const auto wave = static_cast<uint32_t>(options_.wave);
    std::vector<uint32_t> all(wave);
    std::iota(all.begin(), all.end(), candidates[0] / wave * wave);
    return all;
  }

  std::optional<Wave> sample_wave(std::span<const uint32_t> candidates) {
    const auto before = state_.tokens_done;
    const auto together = together_with(candidates);
    Previewer previewer(sink_.wished_previews(), source_.cells());
    auto wave = [&] {
      StageTimer timer(seconds_.sample);
      const double begin = now(), earlier = seconds_.sample;
      return source_.sample(together, [&](int cells_done) {
        state_.tokens_done = before + in_round_ * cells_done;  // as if all ranks were as far
        const double sampling = earlier + now() - begin;
        state_.tokens_per_second = sampling > 0 ? static_cast<double>(state_.tokens_done) / sampling : 0;
        state_.seconds_left = seconds_left();
        if (!report(Stage::sample)) return false;
        preview(previewer, together, cells_done);
        return true;
      });
    }();
    if (!wave) return wave;
    check(wave->cells() == static_cast<size_t>(source_.cells()), ErrorKind::internal,
          "the source gave {} cells for {}", wave->cells(), source_.cells());
    for (size_t i = 0; i < wave->size(); ++i)
      check(std::isfinite(wave->log_likelihood[i]) && std::isfinite(wave->forced_log_likelihood[i]),
            ErrorKind::model,
            "the likelihood of candidate {} is not a number: the model's weights are broken",
            wave->candidates[i]);
    return part_of(*wave, candidates);
  }

  void preview(Previewer& previewer, std::span<const uint32_t> candidates, int cells_done) {
    if (previewer.is_due(cells_done))
      sink_.preview(previewer.make(decoder_, candidates, source_.tokens_so_far()));
  }

  // Until a wave has been decoded and scored, what that takes is not known and counts as nothing; once it is
  // all that is left, nothing can be told.
  std::optional<double> seconds_left() const {
    const auto tokens_left = static_cast<double>(state_.tokens - state_.tokens_done);
    if (state_.tokens_per_second <= 0 || (tokens_left == 0 && looked_at_ == 0)) return std::nullopt;
    const double each = looked_at_ > 0 ? looking_seconds_ / static_cast<double>(looked_at_) : 0;
    const auto unseen = static_cast<double>(pictures_to_see() - looked_at_);
    const int looking = options_.judge_of_tokens ? 1 : comm_.size();  // ranks: the best are rank 0's
    return tokens_left / state_.tokens_per_second + each * unseen / looking;
  }

  // That are to be decoded and scored by this call.
  size_t pictures_to_see() const {
    const auto prune = static_cast<size_t>(info_.request.prune);
    if (options_.judge_of_tokens) return std::min(prune, candidates_.size());
    return candidates_.size() - already_done_;
  }

  // Scores the rows of one wave, without pictures where candidates are pruned, and saves them again with
  // their scores.
  std::vector<std::optional<Image>> score(std::vector<ResultRow>& rows) {
    if (options_.judge_of_tokens) {
      judge_tokens(rows);
      return std::vector<std::optional<Image>>(rows.size());
    }
    auto pictures = look_at(rows);
    sink_.save_wave(rows);
    sink_.scored(rows, pictures);
    return {std::make_move_iterator(pictures.begin()), std::make_move_iterator(pictures.end())};
  }

  void judge_tokens(std::vector<ResultRow>& rows) {
    report(Stage::score);
    StageTimer timer(seconds_.score);
    record_scores(rows, *options_.judge_of_tokens, wave_of(rows), {});
    for (auto& row : rows) row.pruned = true;  // until it turns out to be among the best
    sink_.save_wave(rows);
  }

  // The best by their tokens take their places among the pictures; the others stay behind. A call that is
  // resumed does it again: nothing of it is saved.
  void look_at_best() {
    std::sort(rows_.begin(), rows_.end(), before);
    const size_t count = std::min(pictures_to_see(), rows_.size());
    const auto wave = static_cast<size_t>(options_.wave);
    for (size_t begin = 0; begin < count && (begin == 0 || !cancelled_); begin += wave) {
      const auto part = std::span(rows_).subspan(begin, std::min(wave, count - begin));
      std::vector<ResultRow> rows(part.begin(), part.end());
      for (auto& row : rows) {
        row.tokens = sink_.tokens_of(row.candidate);
        row.pruned = false;
      }
      auto pictures = look_at(rows);
      sink_.scored(rows, pictures);
      for (size_t i = 0; i < rows.size(); ++i) part[i] = rank(std::move(rows[i]), std::move(pictures[i]));
      state_.seconds_left = seconds_left();
      report(Stage::score);
    }
    unseen_ = looked_at_ < count;
  }

  // Decodes and scores.
  std::vector<Image> look_at(std::vector<ResultRow>& rows) {
    const Wave wave = wave_of(rows);
    state_.seconds_left = seconds_left();
    report(Stage::decode);
    StageTimer looking(looking_seconds_);
    auto pictures = decode(wave.tokens, static_cast<int>(rows.size()));
    report(Stage::score);
    StageTimer timer(seconds_.score);
    for (size_t i = 0; i < rows.size(); ++i) rows[i].constant = is_constant(pictures[i]);
    record_scores(rows, scorer_, wave, pictures);
    looked_at_ += rows.size();
    return pictures;
  }

  std::vector<Image> decode(std::span<const int32_t> tokens, int count) {
    StageTimer timer(seconds_.decode);
    return decoder_.decode(tokens, count);
  }

  // Takes a scored row in; one that may be pruned is not ranked yet.
  void accept(ResultRow row, std::optional<Image> picture) {
    rows_.push_back(row.pruned ? without_tokens(std::move(row)) : rank(std::move(row), std::move(picture)));
  }

  // Of the tokens only the copy on the disk stays.
  static ResultRow without_tokens(ResultRow row) {
    row.tokens.clear();
    row.tokens.shrink_to_fit();
    return row;
  }

  ResultRow rank(ResultRow row, std::optional<Image> picture) {
    const auto standing = row.standing();
    if (!row.constant && (!state_.best_score || standing.score > *state_.best_score))
      state_.best_score = standing.score;
    best_.add(standing, std::move(picture));
    return without_tokens(std::move(row));
  }

  static bool before(const ResultRow& a, const ResultRow& b) {
    return ranks_before(a.standing(), b.standing());
  }

  PipelineResult finish() {
    PipelineResult result;
    result.partial = rows_.size() < candidates_.size() || unseen_;
    if (!comm_.is_root()) {
      result.partial = cancelled_;
      return result;
    }
    result.candidates_done = static_cast<int>(rows_.size());
    if (!rows_.empty()) {
      std::sort(rows_.begin(), rows_.end(), before);
      check(!rows_.front().constant, ErrorKind::model,
            "all {} pictures have a single colour each: the model draws nothing",
            std::count_if(rows_.begin(), rows_.end(), [](const auto& row) { return row.constant; }));
      report(Stage::write);
      write_pictures(result);
    }
    result.seconds = seconds_;
    result.tokens_per_second = cost().tokens_per_second();
    tell_state(result.partial ? "partial" : "done");
    return result;
  }

  void write_pictures(PipelineResult& result) {
    const auto kept = best_.take();
    for (size_t rank = 0; rank < rows_.size(); ++rank) {
      rows_[rank].rank = static_cast<int>(rank);
      if (rank < kept.size()) rows_[rank].file = picture_name(rows_[rank].rank, rows_[rank].candidate);
    }
    RankingWriter writer(options_, info_, decoder_.picture_size(), result.partial, sink_);
    for (size_t rank = 0; rank < kept.size(); ++rank) {
      const auto& row = rows_[rank];
      check(kept[rank].first.candidate == row.candidate, ErrorKind::internal,
            "the kept candidate {} is not that of rank {}", kept[rank].first.candidate, rank);
      auto picture =
          kept[rank].second ? *kept[rank].second : decode(sink_.tokens_of(row.candidate), 1).front();
      StageTimer timer(seconds_.write);
      writer.add(row, std::move(picture));
    }
    StageTimer timer(seconds_.write);
    result.best.assign(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(kept.size()));
    writer.finish(rows_);
  }

  // Of this call, so far.
  RunCost cost() const { return {1, seconds_, now() - begin_, state_.tokens_done, peak_resident_bytes()}; }

  void tell_state(const std::string& status) {
    sink_.state({status, info_.request.prompt, static_cast<int>(rows_.size()), options_.wave,
                 earlier_cost_ + cost()});
  }

  CandidateSource& source_;
  PictureDecoder& decoder_;
  Scorer& scorer_;
  const PipelineOptions& options_;
  Comm& comm_;
  const ProgressCallback& callback_;
  RunSink& sink_;
  RunCost earlier_cost_;  // of the calls before this one
  std::vector<uint32_t> candidates_;
  TopK<std::optional<Image>> best_;  // no picture where an earlier call sampled it
  std::vector<ResultRow> rows_;      // without tokens
  RunInfo info_;
  PipelineProgress state_;
  StageSeconds seconds_;
  double begin_ = now();
  size_t already_done_ = 0;     // rows that earlier calls or other ranks scored
  size_t looked_at_ = 0;        // pictures of this call
  double looking_seconds_ = 0;  // what they took
  int64_t in_round_ = 0;        // candidates that all ranks sample at the time
  bool cancelled_ = false;
  bool unseen_ = false;  // not all of the best were looked at
};

void validate(const PipelineOptions& options) {
  const GenerationOptions& request = options.info.request;
  check(request.candidates > 0 && request.keep > 0 && options.wave > 0, ErrorKind::usage,
        "candidates, kept pictures and the wave must all be at least 1");
  check((request.prune > 0) == (options.judge_of_tokens != nullptr), ErrorKind::internal,
        "{} {} and {} judge of tokens", OptionName{"prune"}, request.prune,
        options.judge_of_tokens ? "a" : "no");
}

}  // namespace

const char* name_of(Stage stage) {
  switch (stage) {
    case Stage::prefill:
      return "prefill";
    case Stage::sample:
      return "sample";
    case Stage::decode:
      return "decode";
    case Stage::score:
      return "score";
    case Stage::write:
      return "write";
  }
  fail(ErrorKind::internal, "no such stage");
}

PipelineResult run_pipeline(CandidateSource& source, PictureDecoder& decoder, Scorer& scorer,
                            const PipelineOptions& options, RunSink& sink, const ProgressCallback& progress) {
  validate(options);
  return Pipeline(source, decoder, scorer, options, sink, progress).run();
}

}  // namespace dalle1::rerank
