#include "core/train/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "core/json.h"
#include "core/train/curves.h"

namespace dalle1 {
namespace {

constexpr int kLargestNonFiniteRun = 10;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Everything of a run that outlives a step.
class Session {
 public:
  Session(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run)
      : device_(device),
        task_(task),
        options_(options),
        run_(run),
        compute_(compute_type(options, device)),
        optimizer_(
            task.model(), options.optimizer, [&](const std::string& name) { return task.trainable(name); },
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
      context.compute = compute_;
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
    fail(ErrorKind::usage,
         "--resume: '{}' differs from the run in {}; resume with the same settings or start anew", field,
         file);
  }

  Device& device_;
  TrainTask& task_;
  const TrainOptions& options_;
  const TrainRun& run_;
  DType compute_;
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

using ReadField = std::function<void(const std::string& name, const nlohmann::json& value)>;

template <typename T>
ReadField into(T& target) {
  return
      [&target](const std::string& name, const nlohmann::json& value) { target = value_of<T>(value, name); };
}

OptimizerKind optimizer_from_json(const nlohmann::json& value, const std::string& name) {
  const auto kind = value_of<std::string>(value, name);
  if (kind == "adamw") return OptimizerKind::adamw;
  check(kind == "muon", ErrorKind::input, "'{}' is '{}'; it must be adamw or muon", name, kind);
  return OptimizerKind::muon;
}

}  // namespace

TrainOptions train_options_from_json(const nlohmann::json& json, const std::vector<std::string>& own) {
  TrainOptions options;
  const std::map<std::string, ReadField> fields = {
      {"steps", into(options.steps)},
      {"learning_rate", [&](const std::string& name,
                            const auto& value) { options.learning_rate = schedule_from_json(value, name); }},
      {"optimizer", [&](const std::string& name,
                        const auto& value) { options.optimizer.kind = optimizer_from_json(value, name); }},
      {"matrix_rate", into(options.optimizer.matrix_rate)},
      {"momentum", into(options.optimizer.momentum)},
      {"beta1", into(options.optimizer.beta1)},
      {"beta2", into(options.optimizer.beta2)},
      {"weight_decay", into(options.optimizer.weight_decay)},
      {"clip_norm", into(options.optimizer.clip_norm)},
      {"ema_decay", into(options.ema_decay)},
      {"accumulate", into(options.accumulate)},
      {"seed", into(options.seed)},
      {"compute", into(options.compute)},
      {"log_every", into(options.log_every)},
      {"evaluate_every", into(options.evaluate_every)},
      {"checkpoint_every", into(options.checkpoint_every)}};
  check(json.is_object(), ErrorKind::input, "'train' must be an object");
  for (const auto& [key, value] : json.items()) {
    const auto field = fields.find(key);
    if (field == fields.end()) {
      check(std::find(own.begin(), own.end(), key) != own.end(), ErrorKind::input,
            "'train.{}' is not a known field", key);
      continue;
    }
    field->second("train." + key, value);
  }
  check(options.steps > 0 && options.accumulate > 0 && options.log_every > 0 && options.evaluate_every > 0 &&
            options.checkpoint_every > 0,
        ErrorKind::input,
        "'train': steps, accumulate, log_every, evaluate_every and checkpoint_every must be positive");
  check(options.compute.empty() || options.compute == "f32" || options.compute == "bf16", ErrorKind::input,
        "'train.compute' is '{}'; it must be f32 or bf16", options.compute);
  const auto below_one = [](float share) { return share >= 0 && share < 1; };
  check(below_one(options.optimizer.beta1) && below_one(options.optimizer.beta2) &&
            below_one(options.optimizer.momentum) && below_one(options.ema_decay),
        ErrorKind::input, "'train': beta1, beta2, momentum and ema_decay must be from 0 to below 1");
  check(options.optimizer.weight_decay >= 0 && options.optimizer.clip_norm >= 0 &&
            options.optimizer.matrix_rate >= 0,
        ErrorKind::input, "'train': weight_decay, clip_norm and matrix_rate must not be negative");
  return options;
}

DType compute_type(const TrainOptions& options, const Device& device) {
  if (device.is_cpu()) {
    check(options.compute != "bf16", ErrorKind::usage, "'train.compute' is bf16, which needs --device cuda");
    return DType::f32;
  }
  return options.compute == "f32" ? DType::f32 : DType::bf16;
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
