#include "core/train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/kernels.h"
#include "core/train/muon.h"

namespace dalle1 {

Optimizer::Optimizer(Module& model, const OptimizerOptions& options,
                     const std::function<bool(const std::string&)>& trainable,
                     const std::function<int(const std::string&)>& hidden_matrices)
    : options_(options) {
  model.visit([&](const std::string& name, Tensor& parameter) {
    if (trainable && !trainable(name)) return;
    Device& device = parameter.device();
    Entry entry;
    entry.name = name;
    entry.parameter = parameter;
    entry.m = Tensor::zeros(device, parameter.shape());
    if (options.kind == OptimizerKind::muon && parameter.rank() == 2 && hidden_matrices)
      entry.matrices = hidden_matrices(name);
    if (entry.matrices == 0) entry.v = Tensor::zeros(device, parameter.shape());
    entries_.push_back(entry);
  });
}

void Optimizer::watch(Tape& tape) const {
  for (const Entry& entry : entries_) tape.watch(entry.parameter);
}

void Optimizer::accumulate(const Tape& tape) {
  for (Entry& entry : entries_) {
    const Tensor gradient = tape.gradient(entry.parameter);
    if (!gradient.defined()) continue;
    if (!entry.gradient.defined()) {
      entry.gradient = gradient;
      entry.gradient_is_ours = false;
      continue;
    }
    if (!entry.gradient_is_ours) entry.gradient = entry.gradient.clone();
    entry.gradient_is_ours = true;
    gradient.kernels().add_scaled(gradient, 1.0f, entry.gradient);
  }
}

double Optimizer::sum_squares() const {
  std::vector<Tensor> gradients;
  for (const Entry& entry : entries_)
    if (entry.gradient.defined()) gradients.push_back(entry.gradient);
  return gradients.empty() ? 0.0 : gradients.front().kernels().sum_squares(gradients);
}

double Optimizer::step(float learning_rate, int passes) {
  const double norm = std::sqrt(sum_squares()) / passes;
  if (std::isfinite(norm)) {
    ++steps_;
    const double clip = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
    for (Entry& entry : entries_) {
      if (entry.gradient.defined()) update(entry, learning_rate, static_cast<float>(clip / passes));
    }
  }
  for (Entry& entry : entries_) entry.gradient = Tensor();
  return norm;
}

void Optimizer::update(Entry& entry, float learning_rate, float gradient_scale) {
  const float weight_decay = entry.parameter.rank() >= 2 ? options_.weight_decay : 0.0f;
  if (entry.matrices > 0) {
    const MuonOptions muon{options_.momentum, weight_decay, gradient_scale,
                           learning_rate * options_.matrix_rate, options_.compute};
    muon_update(muon, entry.gradient, entry.matrices, entry.parameter, entry.m);
    return;
  }
  const AdamW adam{learning_rate, options_.beta1, options_.beta2, options_.epsilon,
                   weight_decay,  gradient_scale, steps_};
  entry.parameter.kernels().adamw(adam, entry.gradient, entry.parameter, entry.m, entry.v);
}

void Optimizer::visit_state(const ParameterVisitor& visitor) {
  for (Entry& entry : entries_) {
    visitor((entry.matrices > 0 ? "muon_m." : "adam_m.") + entry.name, entry.m);
    if (entry.matrices == 0) visitor("adam_v." + entry.name, entry.v);
  }
}

Ema::Ema(Module& model, float decay) : decay_(decay) {
  model.visit([&](const std::string& name, Tensor& parameter) {
    entries_.push_back({name, parameter, parameter.clone()});
  });
}

void Ema::update() {
  ++updates_;
  // The average of the first n parameters until 1 / n falls below the decay's window.
  const float decay = std::min(decay_, 1.0f - 1.0f / static_cast<float>(updates_ + 1));
  for (Entry& entry : entries_) entry.parameter.kernels().lerp(entry.parameter, decay, entry.average);
}

void Ema::swap() {
  for (Entry& entry : entries_) {
    const Tensor held = entry.parameter.clone();
    Device& device = held.device();
    device.copy(entry.parameter.raw(), entry.average.raw(), held.bytes());
    device.copy(entry.average.raw(), held.raw(), held.bytes());
    entry.parameter.touch();
  }
}

void Ema::visit_state(const ParameterVisitor& visitor) {
  for (Entry& entry : entries_) visitor("ema." + entry.name, entry.average);
}

}  // namespace dalle1
