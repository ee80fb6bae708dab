// AdamW over the parameters of a model, with accumulation and clipping of gradients.
#pragma once

#include <string>
#include <vector>

#include "core/grad/tape.h"
#include "core/nn/parameters.h"
#include "core/ops/kernels.h"

namespace dalle1 {

struct OptimizerOptions {
  float beta1 = 0.9f, beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;  ///< Decoupled; applied to tensors of two or more axes only.
  float clip_norm = 0.0f;     ///< Largest L2 norm of the whole gradient; 0: off.
};

class Optimizer {
 public:
  /// `trainable` chooses parameters by name; the others stay as they are.
  Optimizer(Module& model, const OptimizerOptions& options,
            const std::function<bool(const std::string&)>& trainable = nullptr);

  void watch(Tape& tape) const;
  /// Adds the gradients of one backward pass.
  void accumulate(const Tape& tape);
  /// One update with the mean over `passes` accumulated passes. Returns the norm of the gradient before
  /// clipping; when it is not finite nothing is changed.
  double step(float learning_rate, int passes = 1);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  /// First and second moments, as `adam_m.NAME` and `adam_v.NAME`.
  void visit_state(const ParameterVisitor& visitor);

 private:
  struct Entry {
    std::string name;
    Tensor parameter, m, v, gradient;
    bool gradient_is_ours = false;
  };
  double sum_squares() const;  // of the gradients
  OptimizerOptions options_;
  std::vector<Entry> entries_;
  int64_t steps_ = 0;
};

/// Exponential moving average of the parameters, with bias correction so that early averages are usable.
class Ema {
 public:
  Ema(Module& model, float decay);
  void update();
  /// Exchanges the parameters with the averages; call twice to get back.
  void swap();
  /// The averages, as `ema.NAME`.
  void visit_state(const ParameterVisitor& visitor);
  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }

 private:
  struct Entry {
    std::string name;
    Tensor parameter, average;
  };
  float decay_;
  int64_t updates_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace dalle1
