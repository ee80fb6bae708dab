// The state of a training that outlives a step, and what is done with it.
#pragma once

#include <optional>

#include "core/train/loop.h"

namespace dalle1 {

/// One of these on each rank of options.comm; all methods are called by all ranks alike, but for evaluate().
class TrainSession {
 public:
  /// Goes on from the newest checkpoint of run.folder if run.resume says so. Only rank 0 looks at the folder.
  TrainSession(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run);

  int64_t step() const { return step_; }  ///< Steps done.
  /// One update, with the schedules as they stand at `place`. Returns what is to be logged.
  nlohmann::json advance(int64_t place);
  /// Held-out figures, with the averaged parameters.
  nlohmann::json evaluate();
  /// A checkpoint and the model; rank 0 writes them.
  void save();

 private:
  std::string pass(Tape& tape, int64_t batch);
  double all_passes(nlohmann::json& log);
  void after_step();
  NamedTensors tensors(const NamedTensors& moments);
  void restore();
  [[noreturn]] void refuse(const nlohmann::json& saved, const std::string& file) const;
  template <typename Function>
  auto with_average(const Function& function);

  Device& device_;
  TrainTask& task_;
  const TrainOptions& options_;
  const TrainRun& run_;
  Comm& comm_;
  Optimizer optimizer_;
  Ema ema_;
  std::optional<CheckpointStore> store_;  // on rank 0
  int64_t step_ = 0;
  int non_finite_ = 0;
};

}  // namespace dalle1
