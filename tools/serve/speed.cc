#include "tools/serve/speed.h"

#include <algorithm>
#include <chrono>

namespace dalle1::serve {
namespace {

constexpr double kSeconds = 0.7;  // of sampling
constexpr int kPictures = 4;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double measure_candidate(rerank::Session& session, const std::string& scorer) {
  const auto& models = session.models();
  rerank::GenerationOptions options;
  options.candidates = session.usual_wave();
  rerank::take_advice(options, models.sampling_advice());
  options.prune = 0;
  if (!scorer.empty()) options.scorer = scorer;
  double tokens_per_second = 0;
  rerank::MemorySink sink;
  session.generate(options, sink, [&](const rerank::PipelineProgress& progress) {
    tokens_per_second = std::max(tokens_per_second, progress.tokens_per_second);
    return progress.seconds < kSeconds;
  });
  const int cells = models.config().cells();
  rerank::Wave wave;
  wave.candidates.assign(kPictures, 0);
  wave.tokens.assign(static_cast<size_t>(kPictures * cells), 0);
  wave.log_likelihood.assign(kPictures, -1);
  wave.forced_log_likelihood.assign(kPictures, 0);
  wave.forced.resize(kPictures);
  const double begin = now();
  const auto pictures = models.decoder().decode(wave.tokens, kPictures);
  models.scorer(rerank::parse_scorer(options.scorer), "", true)->score({wave, pictures});
  const double sampling = tokens_per_second > 0 ? cells / tokens_per_second : 0;
  return sampling + (now() - begin) / kPictures;
}

}  // namespace dalle1::serve
