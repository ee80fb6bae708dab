#include "rerank/pipeline.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/image/sheet.h"
#include "rerank/previewer.h"
#include "rerank/top_k.h"

namespace dalle1::rerank {
namespace {

constexpr size_t kMostOnSheet = 128;

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

// What a wave has of some of its candidates; both ascend.
Wave part_of(const Wave& wave, std::span<const uint32_t> candidates) {
  Wave part;
  part.candidates.assign(candidates.begin(), candidates.end());
  size_t i = 0;
  for (const uint32_t candidate : candidates) {
    while (wave.candidates[i] != candidate) ++i;
    const auto tokens = wave.tokens_of(i);
    part.tokens.insert(part.tokens.end(), tokens.begin(), tokens.end());
    part.log_likelihood.push_back(wave.log_likelihood[i]);
    part.forced_log_likelihood.push_back(wave.forced_log_likelihood[i]);
    part.forced.push_back(wave.forced[i]);
  }
  return part;
}

class Pipeline {
 public:
  Pipeline(CandidateSource& source, PictureDecoder& decoder, Scorer& scorer, const PipelineOptions& options,
           RunSink& sink, const ProgressCallback& progress)
      : source_(source),
        decoder_(decoder),
        scorer_(scorer),
        options_(options),
        callback_(progress),
        sink_(sink),
        earlier_cost_(sink.earlier_cost()),
        candidates_(options.info.request.candidate_indices()),
        best_(static_cast<size_t>(options.info.request.keep)),
        info_(options.info) {
    info_.cells = source.cells();
  }

  PipelineResult run() {
    if (const auto rows = sink_.finished()) return earlier_result(*rows);
    tell_state("running");
    take_up_saved_waves();
    std::vector<uint32_t> pending;
    for (const auto candidate : candidates_)
      if (!sink_.has(candidate)) pending.push_back(candidate);
    state_.tokens = static_cast<int64_t>(pending.size()) * source_.cells();
    if (!pending.empty()) sample_all(pending);
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
      for (auto& row : rows) accept(std::move(row), std::nullopt);
      if (!scored) tell_state("running");
      if (!report(Stage::score)) return;
    }
  }

  void sample_all(const std::vector<uint32_t>& pending) {
    if (!report(Stage::prefill)) return;
    {
      StageTimer timer(seconds_.prefill);
      source_.prefill();
    }
    for (std::span<const uint32_t> rest = pending; !rest.empty() && !cancelled_;) {
      const auto next = rest.first(next_wave(rest));
      const auto wave = sample_wave(next);
      if (!wave) return;
      rest = rest.subspan(next.size());
      auto rows = rows_of(*wave);
      sink_.save_wave(rows);
      auto pictures = score(rows);
      for (size_t i = 0; i < rows.size(); ++i) accept(std::move(rows[i]), std::move(pictures[i]));
      tell_state("running");
      state_.seconds_left = seconds_left();
      report(Stage::score);
    }
  }

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
    const auto each = static_cast<int64_t>(candidates.size());
    const auto together = together_with(candidates);
    Previewer previewer(sink_.wished_previews(), source_.cells());
    auto wave = [&] {
      StageTimer timer(seconds_.sample);
      const double begin = now(), earlier = seconds_.sample;
      return source_.sample(together, [&](int cells_done) {
        state_.tokens_done = before + each * cells_done;
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
    const int scored = static_cast<int>(rows_.size()) - already_done_;
    if (state_.tokens_per_second <= 0 || (tokens_left == 0 && scored <= 0)) return std::nullopt;
    const double each = scored > 0 ? (seconds_.decode + seconds_.score) / scored : 0;
    const auto unscored = static_cast<double>(candidates_.size() - rows_.size());
    return tokens_left / state_.tokens_per_second + each * unscored;
  }

  std::vector<ResultRow> rows_of(const Wave& wave) const {
    std::vector<ResultRow> rows(wave.size());
    for (size_t i = 0; i < wave.size(); ++i) {
      const auto tokens = wave.tokens_of(i);
      rows[i].candidate = wave.candidates[i];
      rows[i].seed = info_.request.seed;
      rows[i].log_likelihood = wave.log_likelihood[i];
      rows[i].forced_log_likelihood = wave.forced_log_likelihood[i];
      rows[i].sampled_cells = wave.sampled_cells(i);
      rows[i].forced = wave.forced[i];
      rows[i].tokens.assign(tokens.begin(), tokens.end());
    }
    return rows;
  }

  // Decodes and scores the rows of one wave and saves them again with their scores.
  std::vector<Image> score(std::vector<ResultRow>& rows) {
    Wave wave;
    for (const auto& row : rows) {
      wave.candidates.push_back(row.candidate);
      wave.tokens.insert(wave.tokens.end(), row.tokens.begin(), row.tokens.end());
      wave.log_likelihood.push_back(row.log_likelihood);
      wave.forced_log_likelihood.push_back(row.forced_log_likelihood);
      wave.forced.push_back(row.forced);
    }
    state_.seconds_left = seconds_left();
    report(Stage::decode);
    auto pictures = decode(wave.tokens, static_cast<int>(rows.size()));
    report(Stage::score);
    StageTimer timer(seconds_.score);
    const auto columns = scorer_.columns();
    const auto scores = scorer_.score({wave, pictures});
    check(scores.size() == rows.size() * columns.size(), ErrorKind::internal,
          "the scorer gave {} scores for {} x {}", scores.size(), rows.size(), columns.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].constant = is_constant(pictures[i]);
      for (size_t c = 0; c < columns.size(); ++c) {
        const double value = scores[i * columns.size() + c];
        check(std::isfinite(value), ErrorKind::model, "score '{}' of candidate {} is not a number",
              columns[c], rows[i].candidate);
        rows[i].scores.emplace_back(columns[c], value);
      }
    }
    sink_.save_wave(rows);
    sink_.scored(rows, pictures);
    return pictures;
  }

  std::vector<Image> decode(std::span<const int32_t> tokens, int count) {
    StageTimer timer(seconds_.decode);
    return decoder_.decode(tokens, count);
  }

  // Takes a scored row into the ranking; of its tokens only the copy on the disk stays.
  void accept(ResultRow row, std::optional<Image> picture) {
    if (!picture) ++already_done_;
    const auto standing = row.standing();
    row.tokens.clear();
    row.tokens.shrink_to_fit();
    if (!row.constant && (!state_.best_score || standing.score > *state_.best_score))
      state_.best_score = standing.score;
    best_.add(standing, std::move(picture));
    rows_.push_back(std::move(row));
  }

  PipelineResult finish() {
    PipelineResult result;
    result.partial = rows_.size() < candidates_.size();
    result.candidates_done = static_cast<int>(rows_.size());
    if (!rows_.empty()) {
      check(!std::all_of(rows_.begin(), rows_.end(), [](const auto& row) { return row.constant; }),
            ErrorKind::model, "all {} pictures have a single colour each: the model draws nothing",
            rows_.size());
      report(Stage::write);
      std::sort(rows_.begin(), rows_.end(),
                [](const auto& a, const auto& b) { return ranks_before(a.standing(), b.standing()); });
      write_pictures(result);
    }
    result.seconds = seconds_;
    result.tokens_per_second = cost().tokens_per_second();
    tell_state(result.partial ? "partial" : "done");
    return result;
  }

  void write_pictures(PipelineResult& result) {
    std::vector<SheetCell> cells;
    if (options_.given) cells.push_back({*options_.given, "given", true});
    const auto kept = best_.take();
    for (size_t rank = 0; rank < rows_.size(); ++rank) {
      rows_[rank].rank = static_cast<int>(rank);
      if (rank < kept.size()) rows_[rank].file = picture_name(rows_[rank].rank, rows_[rank].candidate);
    }
    for (size_t rank = 0; rank < kept.size(); ++rank) {
      const auto& row = rows_[rank];
      check(kept[rank].first.candidate == row.candidate, ErrorKind::internal,
            "the kept candidate {} is not that of rank {}", kept[rank].first.candidate, rank);
      auto picture =
          kept[rank].second ? *kept[rank].second : decode(sink_.tokens_of(row.candidate), 1).front();
      StageTimer timer(seconds_.write);
      if (options_.finish_picture) picture = options_.finish_picture(picture, row.candidate);
      const auto texts = info_.request.no_metadata
                             ? std::vector<PngText>()
                             : picture_metadata(info_, row, picture.width, result.partial);
      sink_.picture(row, picture, texts);
      if (cells.size() < kMostOnSheet)
        cells.push_back({std::move(picture), caption_of(row), false, brief_caption_of(row)});
    }
    StageTimer timer(seconds_.write);
    result.best.assign(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(kept.size()));
    write_sheet(result, cells);
    sink_.ranking(rows_);
  }

  void write_sheet(PipelineResult& result, const std::vector<SheetCell>& cells) {
    const size_t shown = cells.size() - (options_.given ? 1 : 0);
    const auto cut = shown < result.best.size() ? fmt::format(", first {} shown", shown) : "";
    SheetOptions sheet;
    sheet.title = fmt::format("{}   seed {}, best {} of {}{}{}", info_.request.prompt, info_.request.seed,
                              result.best.size(), rows_.size(), cut, result.partial ? " (partial)" : "");
    const auto texts = info_.request.no_metadata ? std::vector<PngText>()
                                                 : sheet_metadata(info_, result.candidates_done,
                                                                  static_cast<int>(result.best.size()),
                                                                  decoder_.picture_size(), result.partial);
    sink_.sheet(draw_sheet(cells, sheet), texts);
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
  int already_done_ = 0;
  bool cancelled_ = false;
};

void validate(const PipelineOptions& options) {
  const GenerationOptions& request = options.info.request;
  check(request.candidates > 0 && request.keep > 0 && options.wave > 0, ErrorKind::usage,
        "candidates, kept pictures and the wave must all be at least 1");
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

uint64_t peak_resident_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace dalle1::rerank
