#include "core/train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace dalle1 {

Optimizer::Optimizer(Module& model, const OptimizerOptions& options,
                     const std::function<bool(const std::string&)>& trainable)
    : options_(options) {
  model.visit([&](const std::string& name, Tensor& parameter) {
    if (trainable && !trainable(name)) return;
    Device& device = parameter.device();
    entries_.push_back({name, parameter, Tensor::zeros(device, parameter.shape()),
                        Tensor::zeros(device, parameter.shape()), Tensor(), false});
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
    AdamW update;
    update.learning_rate = learning_rate;
    update.beta1 = options_.beta1;
    update.beta2 = options_.beta2;
    update.epsilon = options_.epsilon;
    update.step = steps_;
    const double clip = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
    update.gradient_scale = static_cast<float>(clip / passes);
    for (Entry& entry : entries_) {
      if (!entry.gradient.defined()) continue;
      update.weight_decay = entry.parameter.rank() >= 2 ? options_.weight_decay : 0.0f;
      entry.parameter.kernels().adamw(update, entry.gradient, entry.parameter, entry.m, entry.v);
    }
  }
  for (Entry& entry : entries_) entry.gradient = Tensor();
  return norm;
}

void Optimizer::visit_state(const ParameterVisitor& visitor) {
  for (Entry& entry : entries_) {
    visitor("adam_m." + entry.name, entry.m);
    visitor("adam_v." + entry.name, entry.v);
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
