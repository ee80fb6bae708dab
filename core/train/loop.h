// The training loop that the dVAE, CLIP and the transformer share.
//
// Everything random in a step derives from (seed, step), so a run that is stopped, killed and resumed gives
// the bits of an uninterrupted one on the same device and thread count, and so does one of several ranks:
// they share the micro-batches of each step (TrainOptions::comm) and sum in the order of these.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "core/error.h"
#include "core/io/folder_lock.h"
#include "core/nn/precision.h"
#include "core/train/batch_share.h"
#include "core/train/checkpoint_store.h"
#include "core/train/metrics.h"
#include "core/train/optimizer.h"
#include "core/train/schedule.h"

namespace dalle1 {

/// What is trained. One micro-batch is one call of loss().
class TrainTask {
 public:
  virtual ~TrainTask() = default;
  virtual Module& model() = 0;
  /// Before each step: where its schedules stand, in steps. Under a deadline that is not the step's number.
  virtual void begin_step(int64_t place) {}
  /// The loss of micro-batch number `batch` (counted over the whole run) as [1]; adds numbers that are worth
  /// logging, of which a step logs the mean over its micro-batches.
  virtual Tensor loss(Context& context, int64_t batch, nlohmann::json& log) = 0;
  /// After the update of a step (codebook averages, clamped temperatures). On a rank that did not compute the
  /// step's last micro-batch what this makes of visit_state() is overwritten by what it made there.
  virtual void after_step(Context& context, int64_t step) {}
  /// Held-out figures, with the averaged parameters in place; also writes sheets if it has any. Rank 0 alone.
  virtual nlohmann::json evaluate(int64_t step) { return nlohmann::json::object(); }
  /// Writes a usable model, with the averaged parameters in place. Rank 0 alone.
  virtual void export_model(const std::filesystem::path& folder) = 0;
  virtual bool trainable(const std::string& name) const { return true; }
  /// See Optimizer: of how many hidden matrices a parameter is made, 0 for embeddings, heads and vectors.
  virtual int hidden_matrices(const std::string& name) const { return 0; }
  /// Buffers beyond the parameters that a resume needs, and small state, which is the same on all ranks.
  virtual void visit_state(const ParameterVisitor& visitor) {}
  virtual nlohmann::json state() const { return nlohmann::json::object(); }
  virtual void set_state(const nlohmann::json& state) {}
};

struct TrainOptions {
  int64_t steps = 1000;
  Schedule learning_rate;
  OptimizerOptions optimizer;
  float ema_decay = 0.999f;  ///< 0: off.
  int accumulate = 1;        ///< Micro-batches per update.
  uint64_t seed = 0;
  /// "f32" or "bf16": what a step's products compute in, and on a GPU the type of its activations.
  /// Parameters, gradients, sums, norms, losses and the optimiser are f32. "auto": bf16 where the device
  /// multiplies it. Empty: bf16 on a GPU, f32 on the CPU, as in versions that knew no other.
  std::string compute;
  double max_minutes = 0;  ///< Stops with a checkpoint after this long; 0: off.
  /// Above 0 the schedules of all steps run over so many seconds, and the training ends with them, after as
  /// many steps as there was time for: its bits depend on the machine's speed.
  double deadline_seconds = 0;
  int64_t log_every = 10;
  int64_t evaluate_every = 500;
  int64_t checkpoint_every = 500;
  /// The ranks that share the micro-batches of a step; `accumulate` counts those of all of them.
  std::shared_ptr<Comm> comm = single_comm();

  BatchShare share() const { return {comm->rank(), comm->size(), accumulate}; }
  /// The fields of the `train` object of a training file.
  static void visit(auto& self, auto& field);
};

/// Reads the `train` object of a training file. Error(input) names a wrong or unknown field; `own` lists the
/// fields that the model's trainer reads itself.
TrainOptions train_options_from_json(const nlohmann::json& json, const config::Names& own);

/// Of the model that is trained on `device`: computing in f32 where it has no arithmetic for what is asked.
Precision training_precision(const TrainOptions& options, const Device& device);

struct TrainRun {
  std::filesystem::path folder;  ///< checkpoints/, metrics.jsonl, metrics.csv, curves.svg, model/
  bool resume = false;
  /// What decides the result; a resume with other settings is refused (Error(usage)).
  nlohmann::json settings;
  const StateFormat* format = nullptr;
  std::shared_ptr<const FolderLock> lock = nullptr;                 ///< Keeps other runs out of the folder.
  std::function<bool()> stop_requested = nullptr;                   ///< Polled once a step.
  std::function<void(const nlohmann::json& row)> report = nullptr;  ///< Every logged row.
  /// Seconds since the training began; empty: the steady clock's.
  std::function<double()> elapsed = nullptr;
};

struct TrainResult {
  int64_t steps = 0;      ///< Steps done in all.
  bool finished = false;  ///< Reached options.steps, or the deadline.
};

/// The training came to nothing: Error(model) of its own type, for those who compare trainings.
class Diverged : public Error {
 public:
  Diverged(int64_t step, const std::string& message) : Error(ErrorKind::model, message), step_(step) {}
  int64_t step() const { return step_; }  ///< The last, from 0.

 private:
  int64_t step_;
};

/// Trains until done, stopped or out of time; saves a checkpoint at each way out and exports the model to
/// folder/model. Diverged when the loss is not finite for 10 steps in a row. Rank 0 alone reads and writes
/// the folder. Error(usage) for more ranks than micro-batches of a step, and for a rank whose version or
/// settings are not those of rank 0.
TrainResult train(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run);

}  // namespace dalle1
