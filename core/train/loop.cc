#include "core/train/loop.h"

#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "core/comm/agreement.h"
#include "core/train/curves.h"
#include "core/train/train_session.h"

namespace dalle1 {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What the first row of a run warns of.
std::string notice(const TrainOptions& options, const Device& device) {
  if (options.compute != "bf16" || device.multiplies_bf16()) return {};
  return "this processor has no arithmetic of bf16 (AVX512-BF16 or AMX): computing in f32";
}

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

namespace {

void check_ranks(const TrainOptions& options) {
  const int ranks = options.comm->size();
  check(ranks <= options.accumulate, ErrorKind::usage,
        "{} ranks share the micro-batches of a step, and 'train.accumulate' is {}: make it a multiple of the "
        "ranks (and 'batch' smaller in proportion, for the same training), or start fewer ranks",
        ranks, options.accumulate);
}

// Of the parameters that a training begins with: a rank that read others would go unnoticed.
uint32_t checksum_of(Module& model) {
  uLong sum = crc32(0, nullptr, 0);
  std::vector<unsigned char> host;
  model.visit([&](const std::string&, Tensor& parameter) {
    host.resize(parameter.bytes());
    parameter.device().copy_to_host(host.data(), parameter.raw(), host.size());
    sum = crc32_z(sum, host.data(), host.size());
  });
  return static_cast<uint32_t>(sum);
}

// What all ranks must have alike.
nlohmann::json job_of(const Device& device, TrainTask& task, const TrainOptions& options,
                      const TrainRun& run) {
  const Precision precision = training_precision(options, device);
  return {{"version", DALLE1_VERSION},
          {"resume", run.resume},
          {"settings", run.settings},
          {"compute", std::string(name_of(precision.compute))},
          {"checksum of the first parameters", checksum_of(task.model())}};
}

}  // namespace

TrainResult train(Device& device, TrainTask& task, const TrainOptions& options, const TrainRun& run) {
  const auto start = std::chrono::steady_clock::now();
  const std::function<double()> elapsed =
      run.elapsed ? run.elapsed : [start] { return seconds_since(start); };
  const Progress progress(options, elapsed);
  Comm& comm = *options.comm;
  check_ranks(options);
  if (comm.size() > 1) require_equal_jobs(comm, job_of(device, task, options, run));
  TrainSession session(device, task, options, run);
  std::optional<MetricsLog> metrics;  // rank 0's, as all that is written
  if (comm.is_root()) metrics.emplace(run.folder / "metrics.jsonl", session.step());
  double training_seconds = 0;  // since the last row: neither measuring nor saving counts
  uint64_t sent = comm.bytes_sent();
  int64_t last_row = session.step();
  // Rank 0 has the clock.
  const auto is_over = [&](int64_t done) { return of_root(comm, progress.over(done)).get<bool>(); };
  bool stopped = false, last = is_over(session.step());
  std::string warning = notice(options, device);
  while (!last && !stopped) {
    const auto begin = std::chrono::steady_clock::now();
    nlohmann::json row = session.advance(of_root(comm, progress.place(session.step())));
    training_seconds += seconds_since(begin);
    const int64_t done = session.step();
    last = is_over(done);
    if (comm.is_root() && (done % options.evaluate_every == 0 || last)) row.update(session.evaluate());
    if (done % options.log_every == 0 || done % options.evaluate_every == 0 || last) {
      const auto steps = static_cast<double>(done - std::exchange(last_row, done));
      row["seconds_per_step"] = std::exchange(training_seconds, 0.0) / steps;
      if (comm.size() > 1) {
        const uint64_t before = std::exchange(sent, comm.bytes_sent());
        row["sent_megabytes_per_step"] = static_cast<double>(sent - before) / 1e6 / steps;
      }
      if (!warning.empty()) row["warning"] = std::exchange(warning, {});
      if (metrics) metrics->write(row);
      if (metrics && run.report) run.report(row);
    }
    const bool out_of_time = options.max_minutes > 0 && elapsed() > options.max_minutes * 60;
    stopped = on_any(comm, out_of_time || (run.stop_requested && run.stop_requested()));
    if (done % options.checkpoint_every == 0 || last || stopped) session.save();
  }
  if (comm.is_root()) write_curves(run.folder);
  return {session.step(), last};
}

}  // namespace dalle1
