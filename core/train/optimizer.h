// AdamW, or Muon and AdamW, over the parameters of a model, with accumulation and clipping of gradients.
#pragma once

#include <string>
#include <vector>

#include "core/grad/tape.h"
#include "core/kernels/arguments.h"
#include "core/nn/parameters.h"

namespace dalle1 {

enum class OptimizerKind : uint8_t {
  adamw,
  muon,  ///< Muon for the model's hidden matrices, AdamW for the rest.
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adamw;
  float beta1 = 0.9f, beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;   ///< Decoupled; applied to tensors of two or more axes only.
  float clip_norm = 0.0f;      ///< Largest L2 norm of the whole gradient; 0: off.
  float matrix_rate = 5.0f;    ///< Muon's learning rate over AdamW's.
  float momentum = 0.95f;      ///< Muon's.
  DType compute = DType::f32;  ///< Of Muon's products, see MatmulOptions.
};

class Optimizer {
 public:
  /// `trainable` chooses parameters by name; the others stay as they are. `hidden_matrices` says of how many
  /// matrices between hidden features a parameter is made (Muon takes them), 0 for all others.
  Optimizer(Module& model, const OptimizerOptions& options,
            const std::function<bool(const std::string&)>& trainable = nullptr,
            const std::function<int(const std::string&)>& hidden_matrices = nullptr);

  void watch(Tape& tape) const;
  /// Adds the gradients of one backward pass.
  void accumulate(const Tape& tape);
  /// One update with the mean over `passes` accumulated passes. Returns the norm of the gradient before
  /// clipping; when it is not finite nothing is changed.
  double step(float learning_rate, int passes = 1);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  /// First and second moments, as `adam_m.NAME` and `adam_v.NAME`; Muon's momentum as `muon_m.NAME`.
  void visit_state(const ParameterVisitor& visitor);

 private:
  struct Entry {
    std::string name;
    Tensor parameter, m, v, gradient;  // v is undefined where Muon updates
    int matrices = 0;                  // > 0: Muon's, of so many parts
    bool gradient_is_ours = false;
  };
  double sum_squares() const;  // of the gradients
  void update(Entry& entry, float learning_rate, float gradient_scale);

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
