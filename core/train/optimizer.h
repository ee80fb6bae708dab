// AdamW, or Muon and AdamW, over the parameters of a model, with accumulation and clipping of gradients.
//
// Ranks share the work as in ZeRO's first stage (Rajbhandari et al. 2020, section 5.1): each parameter,
// whole, belongs to one rank, which alone has its moments, sums its gradients and updates it. Sums are taken
// in the order of the micro-batches whoever computed them, so that any number of ranks gives the bits of one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/comm/comm.h"
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
  /// matrices between hidden features a parameter is made (Muon takes them), 0 for all others. All methods
  /// are to be called by all ranks of `comm` alike.
  Optimizer(Module& model, const OptimizerOptions& options,
            const std::function<bool(const std::string&)>& trainable = nullptr,
            const std::function<int(const std::string&)>& hidden_matrices = nullptr,
            std::shared_ptr<Comm> comm = single_comm());

  void watch(Tape& tape) const;
  /// Adds the gradients of one backward pass of each rank, in the order of the ranks; a rank that had none
  /// gives an empty tape.
  void accumulate(const Tape& tape);
  /// One update with the mean over `passes` accumulated passes. Returns the norm of the gradient before
  /// clipping, on all ranks; when it is not finite nothing is changed.
  double step(float learning_rate, int passes = 1);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  /// First and second moments, as `adam_m.NAME` and `adam_v.NAME`, Muon's momentum as `muon_m.NAME`: on rank
  /// 0 all of them, those of other ranks as copies; nothing elsewhere.
  NamedTensors gather_state();
  /// Takes over what rank 0 has written into the tensors that gather_state() gave it.
  void scatter_state(const NamedTensors& gathered);

 private:
  struct Entry {
    std::string name;
    Tensor parameter, m, v, gradient;  // v is undefined where Muon updates
    int matrices = 0;                  // > 0: Muon's, of so many parts
    int owner = 0;                     // the rank that has all of the above but the parameter
    bool gradient_is_ours = false;
  };
  void share_out();
  void add(Entry& entry, const Tensor& gradient) const;
  double sum_squares() const;  // of the gradients
  void update(Entry& entry, float learning_rate, float gradient_scale);
  bool owns(const Entry& entry) const { return entry.owner == comm_->rank(); }
  void visit_state(const std::function<void(const std::string& name, Tensor& state, const Entry&)>& visitor);

  OptimizerOptions options_;
  std::shared_ptr<Comm> comm_;
  std::vector<Entry> entries_;
  std::vector<std::vector<size_t>> rounds_;  // of entries, with one of each rank: what travels at once
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
