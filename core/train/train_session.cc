#include "core/train/train_session.h"

#include <cmath>

#include "core/comm/agreement.h"

namespace dalle1 {
namespace {

constexpr int kLargestNonFiniteRun = 10;

OptimizerOptions computing_in(OptimizerOptions options, DType compute) {
  options.compute = compute;
  return options;
}

// Overwrites tensors that every rank has by those of one.
void broadcast_from(Comm& comm, int owner, const NamedTensors& tensors) {
  std::vector<SharedTensor> shared;
  for (const auto& [name, tensor] : tensors) shared.push_back({tensor, tensor, owner});
  comm.broadcast(shared);
}

}  // namespace

TrainSession::TrainSession(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run)
    : device_(device),
      task_(task),
      options_(options),
      run_(run),
      comm_(*options.comm),
      optimizer_(
          task.model(), computing_in(options.optimizer, training_precision(options, device).compute),
          [&](const std::string& name) { return task.trainable(name); },
          [&](const std::string& name) { return task.hidden_matrices(name); }, options.comm),
      ema_(task.model(), options.ema_decay) {
  if (comm_.is_root()) store_.emplace(run.folder / "checkpoints", *run.format);
  if (run.resume) restore();
}

// Forward and backward of one micro-batch. Returns its figures, in bytes that keep numbers that are not
// finite.
std::string TrainSession::pass(Tape& tape, int64_t batch) {
  optimizer_.watch(tape);
  Context context(device_, &tape);
  context.seed = options_.seed;
  context.step = static_cast<uint64_t>(batch);
  context.training = true;
  nlohmann::json figures = nlohmann::json::object();
  const Tensor loss = task_.loss(context, batch, figures);
  figures["loss"] = loss.item();
  tape.backward(loss);
  std::string bytes;
  nlohmann::json::to_msgpack(figures, bytes);
  return bytes;
}

// All micro-batches of the step, those of all ranks in their order; logs the means of their figures. Returns
// the sum of their losses.
double TrainSession::all_passes(nlohmann::json& log) {
  const BatchShare share = options_.share();
  const double part = 1.0 / options_.accumulate;
  double loss_sum = 0;
  for (int begin = 0; begin < options_.accumulate; begin += share.ranks) {
    const int64_t batch = step_ * options_.accumulate + begin + share.rank;
    Tape tape;
    const std::string mine = begin + share.rank < options_.accumulate ? pass(tape, batch) : "";
    optimizer_.accumulate(tape);
    for (const std::string& said : comm_.all_gather(mine)) {
      if (said.empty()) continue;
      const auto figures = nlohmann::json::from_msgpack(said);
      for (const auto& [name, value] : figures.items())
        if (name != "loss") log[name] = log.value(name, 0.0) + part * value.get<double>();
      loss_sum += figures.at("loss").get<double>();
    }
  }
  return loss_sum;
}

nlohmann::json TrainSession::advance(int64_t place) {
  task_.begin_step(place);
  nlohmann::json log = {{"step", step_}};
  const double loss_sum = all_passes(log);
  const auto rate = static_cast<float>(options_.learning_rate.at(place));
  const double norm = optimizer_.step(rate, options_.accumulate);
  const bool finite = std::isfinite(norm) && std::isfinite(loss_sum);
  non_finite_ = finite ? 0 : non_finite_ + 1;
  if (non_finite_ >= kLargestNonFiniteRun) {
    throw Diverged(step_, fmt::format("the loss was not finite for {} steps in a row at step {}; lower the "
                                      "learning rate",
                                      non_finite_, step_));
  }
  if (finite) {
    after_step();
    if (options_.ema_decay > 0) ema_.update();
  }
  log["loss"] = loss_sum / options_.accumulate;
  log["gradient_norm"] = norm;
  log["learning_rate"] = rate;
  ++step_;
  return log;
}

// The task's buffers follow the last micro-batch of the step; where they went on its rank, they go on all.
void TrainSession::after_step() {
  Context context(device_);
  context.seed = options_.seed;
  context.step = static_cast<uint64_t>(step_);
  task_.after_step(context, step_);
  NamedTensors buffers;
  task_.visit_state([&](const std::string& name, Tensor& tensor) { buffers.emplace_back(name, tensor); });
  broadcast_from(comm_, (options_.accumulate - 1) % comm_.size(), buffers);
}

template <typename Function>
auto TrainSession::with_average(const Function& function) {
  const bool swap = options_.ema_decay > 0 && ema_.updates() > 0;
  if (swap) ema_.swap();
  try {
    auto result = function();
    if (swap) ema_.swap();
    return result;
  } catch (...) {  // put the parameters back, then let the error go on
    if (swap) ema_.swap();
    throw;
  }
}

nlohmann::json TrainSession::evaluate() {
  return with_average([&] { return task_.evaluate(step_); });
}

void TrainSession::save() {
  const NamedTensors moments = optimizer_.gather_state();
  if (!comm_.is_root()) return;
  nlohmann::json state = {{"step", step_},
                          {"optimizer_steps", optimizer_.steps()},
                          {"ema_updates", ema_.updates()},
                          {"settings", run_.settings},
                          {"task", task_.state()}};
  store_->save(step_, state, tensors(moments));
  with_average([&] {
    task_.export_model(run_.folder / "model");
    return 0;
  });
}

// All that a checkpoint has; without `moments` what every rank has.
NamedTensors TrainSession::tensors(const NamedTensors& moments) {
  NamedTensors all;
  const auto adding = [&](const std::string& prefix) {
    return
        [&all, prefix](const std::string& name, Tensor& tensor) { all.emplace_back(prefix + name, tensor); };
  };
  task_.model().visit(adding("model."));
  all.insert(all.end(), moments.begin(), moments.end());
  if (options_.ema_decay > 0) ema_.visit_state(adding(""));
  task_.visit_state(adding("task."));
  return all;
}

void TrainSession::restore() {
  const auto newest = comm_.is_root() ? store_->latest() : std::nullopt;
  if (!of_root(comm_, newest.has_value()).get<bool>()) return;
  const NamedTensors moments = optimizer_.gather_state();
  nlohmann::json state;
  if (newest) {
    // Before the tensors, which other settings may have in other shapes.
    const nlohmann::json saved = run_.format->read_state(*newest).at("settings");
    if (saved != run_.settings) refuse(saved, newest->string());
    const NamedTensors targets = tensors(moments);
    state = store_->load(*newest, targets);
    for (const auto& [name, tensor] : targets) tensor.touch();
  }
  state = of_root(comm_, state);
  optimizer_.scatter_state(moments);
  broadcast_from(comm_, 0, tensors({}));
  step_ = state.at("step").get<int64_t>();
  optimizer_.set_steps(state.at("optimizer_steps").get<int64_t>());
  ema_.set_updates(state.at("ema_updates").get<int64_t>());
  task_.set_state(state.at("task"));
}

void TrainSession::refuse(const nlohmann::json& saved, const std::string& file) const {
  const auto difference = nlohmann::json::diff(saved, run_.settings);
  const std::string field = difference.empty() ? "" : difference[0].value("path", "");
  fail(ErrorKind::usage, "{}: '{}' differs from the run in {}; resume with the same settings or start anew",
       OptionName{"resume"}, field, file);
}

}  // namespace dalle1
