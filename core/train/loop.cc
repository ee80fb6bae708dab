#include "core/train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/train/curves.h"

namespace dalle1 {
namespace {

constexpr int kLargestNonFiniteRun = 10;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

OptimizerOptions computing_in(OptimizerOptions options, DType compute) {
  options.compute = compute;
  return options;
}

// What the first row of a run warns of.
std::string notice(const TrainOptions& options, const Device& device) {
  if (options.compute != "bf16" || device.multiplies_bf16()) return {};
  return "this processor has no arithmetic of bf16 (AVX512-BF16 or AMX): computing in f32";
}

// Everything of a run that outlives a step.
class Session {
 public:
  Session(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run)
      : device_(device),
        task_(task),
        options_(options),
        run_(run),
        optimizer_(
            task.model(), computing_in(options.optimizer, training_precision(options, device).compute),
            [&](const std::string& name) { return task.trainable(name); },
            [&](const std::string& name) { return task.hidden_matrices(name); }),
        ema_(task.model(), options.ema_decay),
        store_(run.folder / "checkpoints", *run.format) {
    if (run.resume) restore();
  }

  int64_t step() const { return step_; }

  /// One update, with the schedules as they stand at `place`.
  nlohmann::json advance(int64_t place) {
    task_.begin_step(place);
    nlohmann::json log = {{"step", step_}};
    double loss_sum = 0;
    for (int micro = 0; micro < options_.accumulate; ++micro) {
      const int64_t batch = step_ * options_.accumulate + micro;
      Tape tape;
      optimizer_.watch(tape);
      Context context(device_, &tape);
      context.seed = options_.seed;
      context.step = static_cast<uint64_t>(batch);
      context.training = true;
      const Tensor loss = task_.loss(context, batch, log);
      loss_sum += loss.item();
      tape.backward(loss);
      optimizer_.accumulate(tape);
    }
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
      Context context(device_);
      context.seed = options_.seed;
      context.step = static_cast<uint64_t>(step_);
      task_.after_step(context, step_);
      if (options_.ema_decay > 0) ema_.update();
    }
    log["loss"] = loss_sum / options_.accumulate;
    log["gradient_norm"] = norm;
    log["learning_rate"] = rate;
    ++step_;
    return log;
  }

  template <typename Function>
  auto with_average(const Function& function) {
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

  nlohmann::json evaluate() {
    return with_average([&] { return task_.evaluate(step_); });
  }

  void save() {
    nlohmann::json state = {{"step", step_},
                            {"optimizer_steps", optimizer_.steps()},
                            {"ema_updates", ema_.updates()},
                            {"settings", run_.settings},
                            {"task", task_.state()}};
    store_.save(step_, state, tensors());
    with_average([&] {
      task_.export_model(run_.folder / "model");
      return 0;
    });
  }

 private:
  NamedTensors tensors() {
    NamedTensors all;
    auto add = [&](const std::string& name, Tensor& tensor) { all.emplace_back(name, tensor); };
    task_.model().visit(
        [&](const std::string& name, Tensor& tensor) { all.emplace_back("model." + name, tensor); });
    optimizer_.visit_state(add);
    if (options_.ema_decay > 0) ema_.visit_state(add);
    task_.visit_state(
        [&](const std::string& name, Tensor& tensor) { all.emplace_back("task." + name, tensor); });
    return all;
  }

  void restore() {
    const auto newest = store_.latest();
    if (!newest) return;
    // Before the tensors, which other settings may have in other shapes.
    const nlohmann::json saved = run_.format->read_state(*newest).at("settings");
    if (saved != run_.settings) refuse(saved, newest->string());
    const NamedTensors targets = tensors();
    const nlohmann::json state = store_.load(*newest, targets);
    for (const auto& [name, tensor] : targets) tensor.touch();
    step_ = state.at("step").get<int64_t>();
    optimizer_.set_steps(state.at("optimizer_steps").get<int64_t>());
    ema_.set_updates(state.at("ema_updates").get<int64_t>());
    task_.set_state(state.at("task"));
  }

  [[noreturn]] void refuse(const nlohmann::json& saved, const std::string& file) const {
    const auto difference = nlohmann::json::diff(saved, run_.settings);
    const std::string field = difference.empty() ? "" : difference[0].value("path", "");
    fail(ErrorKind::usage, "{}: '{}' differs from the run in {}; resume with the same settings or start anew",
         OptionName{"resume"}, field, file);
  }

  Device& device_;
  TrainTask& task_;
  const TrainOptions& options_;
  const TrainRun& run_;
  Optimizer optimizer_;
  Ema ema_;
  CheckpointStore store_;
  int64_t step_ = 0;
  int non_finite_ = 0;
};

// How far a training is: counted in steps, or stretched over the seconds until a deadline.
class Progress {
 public:
  Progress(const TrainOptions& options, const std::function<double()>& elapsed)
      : options_(options), elapsed_(elapsed) {}

  /// In steps, of the step that comes after `done` ones.
  int64_t place(int64_t done) const {
    if (!by_time()) return done;
    const double share = std::min(1.0, elapsed_() / options_.deadline_seconds);
    return static_cast<int64_t>(share * static_cast<double>(options_.steps));
  }
  bool over(int64_t done) const {
    return by_time() ? elapsed_() >= options_.deadline_seconds : done >= options_.steps;
  }

 private:
  bool by_time() const { return options_.deadline_seconds > 0; }

  const TrainOptions& options_;
  const std::function<double()>& elapsed_;
};

// The table and the curves of everything that was logged.
void write_curves(const std::filesystem::path& folder) {
  const auto jsonl = folder / "metrics.jsonl";
  write_metrics_csv(jsonl);
  write_metrics_curves(jsonl, folder / "curves.svg");
}

}  // namespace

void TrainOptions::visit(auto& self, auto& field) {
  auto& optimizer = self.optimizer;
  field("steps", self.steps, config::at_least(1));
  field("learning_rate", self.learning_rate);
  field("optimizer", optimizer.kind, config::one_of({"adamw", "muon"}));
  field("matrix_rate", optimizer.matrix_rate, config::at_least(0));
  field("momentum", optimizer.momentum, config::below_one());
  field("beta1", optimizer.beta1, config::below_one());
  field("beta2", optimizer.beta2, config::below_one());
  field("weight_decay", optimizer.weight_decay, config::at_least(0));
  field("clip_norm", optimizer.clip_norm, config::at_least(0));
  field("ema_decay", self.ema_decay, config::below_one());
  field("accumulate", self.accumulate, config::at_least(1));
  field("seed", self.seed);
  field("compute", self.compute, config::one_of({"auto", "f32", "bf16"}));
  field("log_every", self.log_every, config::at_least(1));
  field("evaluate_every", self.evaluate_every, config::at_least(1));
  field("checkpoint_every", self.checkpoint_every, config::at_least(1));
}

TrainOptions train_options_from_json(const nlohmann::json& json, const config::Names& own) {
  TrainOptions options;
  config::read(json, options, {ErrorKind::input, "train"}, own);
  return options;
}

Precision training_precision(const TrainOptions& options, const Device& device) {
  const bool wanted = options.compute.empty() ? !device.is_cpu() : options.compute != "f32";
  return Precision::training(wanted && device.multiplies_bf16() ? DType::bf16 : DType::f32, device);
}

TrainResult train(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run) {
  const auto start = std::chrono::steady_clock::now();
  const std::function<double()> elapsed =
      run.elapsed ? run.elapsed : [start] { return seconds_since(start); };
  const Progress progress(options, elapsed);
  Session session(device, task, options, run);
  MetricsLog metrics(run.folder / "metrics.jsonl", session.step());
  double training_seconds = 0;  // since the last row: neither measuring nor saving counts
  int64_t last_row = session.step();
  bool stopped = false, last = progress.over(session.step());
  std::string warning = notice(options, device);
  while (!last && !stopped) {
    const auto begin = std::chrono::steady_clock::now();
    nlohmann::json row = session.advance(progress.place(session.step()));
    training_seconds += seconds_since(begin);
    const int64_t done = session.step();
    last = progress.over(done);
    if (done % options.evaluate_every == 0 || last) row.update(session.evaluate());
    if (done % options.log_every == 0 || done % options.evaluate_every == 0 || last) {
      row["seconds_per_step"] = std::exchange(training_seconds, 0.0) / static_cast<double>(done - last_row);
      last_row = done;
      if (!warning.empty()) row["warning"] = std::exchange(warning, {});
      metrics.write(row);
      if (run.report) run.report(row);
    }
    const bool out_of_time = options.max_minutes > 0 && elapsed() > options.max_minutes * 60;
    stopped = out_of_time || (run.stop_requested && run.stop_requested());
    if (done % options.checkpoint_every == 0 || last || stopped) session.save();
  }
  write_curves(run.folder);
  return {session.step(), last};
}

}  // namespace dalle1
