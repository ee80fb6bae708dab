#include "rerank/session.h"

namespace dalle1::rerank {

Session::Session(ModelSet models) : models_(std::move(models)) { models_.load(); }

PipelineResult Session::generate(const GenerationOptions& request, std::optional<GivenPicture> given,
                                 RunSink& sink, const ProgressCallback& progress) {
  validate(request);
  const std::lock_guard lock(device_);
  PipelineOptions options;
  options.info = models_.run_info(request);
  options.wave = request.batch > 0 ? request.batch : usual_wave();
  options.whole_waves = !models_.device().is_cpu();
  std::optional<FittedPicture> fitted;
  if (given) fitted.emplace(std::move(*given), models_);
  if (fitted) fitted->go_into(options);
  const auto source =
      fitted ? fitted->source(models_, request, request.prompt) : models_.source(request, request.prompt);
  const auto scorer = models_.scorer(parse_scorer(request.scorer), request.prompt, request.truncate);
  return run_pipeline(*source, models_.decoder(), *scorer, options, sink, progress);
}

}  // namespace dalle1::rerank
