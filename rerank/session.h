// Models kept loaded, for many requests: what the program, a server and other programs stand on.
#pragma once

#include <mutex>
#include <optional>

#include "rerank/given_picture.h"
#include "rerank/model_set.h"
#include "rerank/pipeline.h"

namespace dalle1::rerank {

class Session {
 public:
  /// Loads the models.
  explicit Session(ModelSet models);

  const ModelSet& models() const { return models_; }

  /// The wave of a request that leaves it open: 64 candidates on a CPU, 256 on a GPU.
  int usual_wave() const { return models_.device().is_cpu() ? 64 : 256; }

  /// Draws a request into a sink. From several threads at once: a device does one request at a time, in which
  /// all of its threads work, and the others wait. Error(usage) for a scorer that the models were not opened
  /// for; else as run_pipeline().
  PipelineResult generate(const GenerationOptions& request, RunSink& sink,
                          const ProgressCallback& progress = {}) {
    return generate(request, std::nullopt, sink, progress);
  }
  /// The same, going on from a picture: completion, inpainting, variations.
  PipelineResult generate(const GenerationOptions& request, std::optional<GivenPicture> given, RunSink& sink,
                          const ProgressCallback& progress = {});

 private:
  ModelSet models_;
  std::mutex device_;
};

}  // namespace dalle1::rerank
