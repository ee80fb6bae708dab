// Models kept loaded, for many requests: what the program, a server and other programs stand on.
#pragma once

#include <functional>
#include <memory>
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

  /// Draws a request into a sink. From several threads at once: on a CPU their candidates share decoding
  /// steps, at most four usual waves of them, and the rest of their work takes turns; a GPU does one request
  /// after another. The pictures are those that each has alone. Error(usage) for a scorer that the models
  /// were not opened for; else as run_pipeline().
  PipelineResult generate(const GenerationOptions& request, RunSink& sink,
                          const ProgressCallback& progress = {}) {
    return generate(request, std::nullopt, sink, progress);
  }
  /// The same, going on from a picture: completion, inpainting, variations.
  PipelineResult generate(const GenerationOptions& request, std::optional<GivenPicture> given, RunSink& sink,
                          const ProgressCallback& progress = {});

  /// Other work with the models, in turns with what is drawn: on a CPU between two steps, on a GPU between
  /// two requests.
  void take_turn(const std::function<void()>& work);

 private:
  ModelSet models_;
  std::shared_ptr<StepSharing> sharing_;  // on a CPU
  std::mutex device_;                     // else
};

}  // namespace dalle1::rerank
