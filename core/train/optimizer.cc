#include "core/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/kernels/kernels.h"
#include "core/train/muon.h"

namespace dalle1 {

Optimizer::Optimizer(Module& model, const OptimizerOptions& options,
                     const std::function<bool(const std::string&)>& trainable,
                     const std::function<int(const std::string&)>& hidden_matrices,
                     std::shared_ptr<Comm> comm)
    : options_(options), comm_(std::move(comm)) {
  model.visit([&](const std::string& name, Tensor& parameter) {
    if (trainable && !trainable(name)) return;
    Entry entry;
    entry.name = name;
    entry.parameter = parameter;
    if (options.kind == OptimizerKind::muon && parameter.rank() == 2 && hidden_matrices)
      entry.matrices = hidden_matrices(name);
    entries_.push_back(entry);
  });
  share_out();
  visit_state([&](const std::string&, Tensor& state, const Entry& entry) {
    if (owns(entry)) state = Tensor::zeros(entry.parameter.device(), entry.parameter.shape());
  });
}

// The largest first, each to the rank that has least so far.
void Optimizer::share_out() {
  std::vector<size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return entries_[a].parameter.numel() > entries_[b].parameter.numel();
  });
  std::vector<int64_t> numbers(comm_->size());
  std::vector<size_t> parameters(comm_->size());
  for (const size_t i : order) {
    const auto rank = std::min_element(numbers.begin(), numbers.end()) - numbers.begin();
    entries_[i].owner = static_cast<int>(rank);
    numbers[rank] += entries_[i].parameter.numel();
    const size_t round = parameters[rank]++;
    if (round == rounds_.size()) rounds_.emplace_back();
    rounds_[round].push_back(i);
  }
}

void Optimizer::watch(Tape& tape) const {
  for (const Entry& entry : entries_) tape.watch(entry.parameter);
}

void Optimizer::accumulate(const Tape& tape) {
  for (const auto& round : rounds_) {
    std::vector<SharedTensor> shared;
    for (const size_t i : round) {
      const Tensor& parameter = entries_[i].parameter;
      shared.push_back({parameter, tape.gradient(parameter), entries_[i].owner});
    }
    const auto gathered = comm_->gather(shared);
    for (size_t k = 0; k < round.size(); ++k)
      for (const Tensor& gradient : gathered[k]) add(entries_[round[k]], gradient);
  }
}

void Optimizer::add(Entry& entry, const Tensor& gradient) const {
  if (!entry.gradient.defined()) {
    entry.gradient = gradient;
    entry.gradient_is_ours = false;
    return;
  }
  if (!entry.gradient_is_ours) entry.gradient = entry.gradient.clone();
  entry.gradient_is_ours = true;
  gradient.kernels().add_scaled(gradient, 1.0f, entry.gradient);
}

double Optimizer::sum_squares() const {
  std::vector<Tensor> gradients;
  for (const Entry& entry : entries_)
    if (entry.gradient.defined()) gradients.push_back(entry.gradient);
  if (comm_->size() == 1) return gradients.empty() ? 0.0 : gradients.front().kernels().sum_squares(gradients);
  // Each parameter's by itself, since one process adds them in the order of the parameters.
  std::string mine(entries_.size() * sizeof(double), '\0');
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Tensor& gradient = entries_[i].gradient;
    if (!gradient.defined()) continue;
    const double squares = gradient.kernels().sum_squares({&gradient, 1});
    std::memcpy(mine.data() + i * sizeof squares, &squares, sizeof squares);
  }
  const auto said = comm_->all_gather(mine);
  double sum = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    double squares = 0;
    std::memcpy(&squares, said[entries_[i].owner].data() + i * sizeof squares, sizeof squares);
    sum += squares;
  }
  return sum;
}

double Optimizer::step(float learning_rate, int passes) {
  const double norm = std::sqrt(sum_squares()) / passes;
  if (std::isfinite(norm)) {
    ++steps_;
    const double clip = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
    for (Entry& entry : entries_) {
      if (entry.gradient.defined()) update(entry, learning_rate, static_cast<float>(clip / passes));
    }
    std::vector<SharedTensor> shared;
    for (const Entry& entry : entries_) shared.push_back({entry.parameter, entry.parameter, entry.owner});
    comm_->broadcast(shared);
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
  entry.parameter.kernels().adamw({adam, entry.gradient, entry.parameter, entry.m, entry.v});
}

void Optimizer::visit_state(
    const std::function<void(const std::string& name, Tensor& state, const Entry&)>& visitor) {
  for (Entry& entry : entries_) {
    visitor((entry.matrices > 0 ? "muon_m." : "adam_m.") + entry.name, entry.m, entry);
    if (entry.matrices == 0) visitor("adam_v." + entry.name, entry.v, entry);
  }
}

NamedTensors Optimizer::gather_state() {
  NamedTensors all;
  visit_state([&](const std::string& name, Tensor& state, const Entry& entry) {
    Tensor at_root = state;
    if (entry.owner != 0) {
      const SharedTensor shared{entry.parameter, state, 0};
      const auto gathered = comm_->gather({&shared, 1});
      if (comm_->is_root()) at_root = gathered[0].at(0);
    }
    if (comm_->is_root()) all.emplace_back(name, at_root);
  });
  return all;
}

void Optimizer::scatter_state(const NamedTensors& gathered) {
  size_t next = 0;
  visit_state([&](const std::string&, Tensor& state, const Entry& entry) {
    const size_t place = next++;
    if (entry.owner == 0) return;
    const Tensor& like = entry.parameter;
    const Tensor tensor = comm_->is_root() ? gathered[place].second
                          : owns(entry)    ? state
                                           : Tensor::empty(like.device(), like.shape());
    const SharedTensor shared{like, tensor, 0};
    comm_->broadcast({&shared, 1});
  });
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
