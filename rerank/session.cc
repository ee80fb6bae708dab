#include "rerank/session.h"

#include "rerank/in_turns.h"

namespace dalle1::rerank {

Session::Session(ModelSet models) : models_(std::move(models)) {
  models_.load();
  if (!models_.device().is_cpu()) return;
  sharing_ = std::make_shared<StepSharing>(4 * usual_wave());
  models_.share_steps(sharing_);
}

PipelineResult Session::generate(const GenerationOptions& request, std::optional<GivenPicture> given,
                                 RunSink& sink, const ProgressCallback& progress) {
  validate(request);
  const auto alone = sharing_ ? std::unique_lock<std::mutex>() : std::unique_lock(device_);
  PipelineOptions options;
  options.info = models_.run_info(request);
  options.wave = request.batch > 0 ? request.batch : usual_wave();
  options.whole_waves = !models_.device().is_cpu();
  std::optional<FittedPicture> fitted;
  std::unique_ptr<CandidateSource> source;
  std::shared_ptr<Scorer> scorer, judge_of_tokens;
  const auto open = [&] {
    if (given) fitted.emplace(std::move(*given), models_);
    source =
        fitted ? fitted->source(models_, request, request.prompt) : models_.source(request, request.prompt);
    scorer = models_.scorer(parse_scorer(request.scorer), request.prompt, request.truncate);
    judge_of_tokens = models_.judge_of_tokens(request);
  };
  sharing_ ? sharing_->turns.take(DeviceTurns::other, open) : open();
  if (fitted) fitted->go_into(options);
  options.judge_of_tokens = judge_of_tokens;
  if (!sharing_) return run_pipeline(*source, models_.decoder(), *scorer, options, sink, progress);
  PipelineProgress last;
  const ProgressCallback told = [&](const PipelineProgress& now) {
    last = now;
    return !progress || progress(now);
  };
  DecoderInTurns decoder(models_.decoder(), sharing_->turns, [&] { told(PipelineProgress(last)); });
  ScorerInTurns judge(*scorer, sharing_->turns);
  if (judge_of_tokens)
    options.judge_of_tokens = std::make_shared<ScorerInTurns>(*judge_of_tokens, sharing_->turns);
  return run_pipeline(*source, decoder, judge, options, sink, told);
}

void Session::take_turn(const std::function<void()>& work) {
  if (sharing_) return sharing_->turns.take(DeviceTurns::other, work);
  const std::lock_guard lock(device_);
  work();
}

}  // namespace dalle1::rerank
