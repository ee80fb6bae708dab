// Ranks that train together give the bits of one process, and go on from each other's checkpoints.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "core/comm/agreement.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/reduce.h"
#include "core/random/philox.h"
#include "core/train/loop.h"
#include "tests/support/golden.h"
#include "weights/training_state.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;

Tensor random_matrix(Device& device, const Shape& shape, uint32_t index) {
  RandomStream stream(1, Stream::initialisation, index);
  std::vector<float> values(shape.numel());
  for (float& value : values) value = 0.5f * stream.normal();
  return Tensor::from(device, shape, values);
}

// y = sin(3 a) + b^2 by 2 -> 24 -> 24 -> 1. Its `rare` parameter is used by every third micro-batch alone.
struct Network final : Module {
  explicit Network(Device& device)
      : w1(random_matrix(device, {24, 2}, 1)),
        w2(random_matrix(device, {24, 24}, 2)),
        w3(random_matrix(device, {1, 24}, 3)),
        bias(Tensor::zeros(device, {24})),
        rare(Tensor::full(device, {1}, 1.0f)) {}
  void visit(const ParameterVisitor& visitor) override {
    visitor("w1", w1);
    visitor("w2", w2);
    visitor("w3", w3);
    visitor("bias", bias);
    visitor("rare", rare);
  }
  Tensor w1, w2, w3, bias, rare;
};

class Task final : public TrainTask {
 public:
  explicit Task(Device& device, int64_t broken_from = 1 << 20)
      : device_(device), network_(device), last_(Tensor::zeros(device, {1})), broken_from_(broken_from) {}
  Module& model() override { return network_; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override {
    RandomStream random(5, Stream::test, static_cast<uint32_t>(batch));
    std::vector<float> x, y;
    for (int i = 0; i < 16; ++i) {
      const float a = random.uniform(), b = random.uniform();
      x.insert(x.end(), {a, b});
      y.push_back(std::sin(3 * a) + b * b);
    }
    if (batch >= broken_from_) y[0] = NAN;
    Tensor h = ops::gelu(context,
                         ops::linear(context, Tensor::from(device_, {16, 2}, x), network_.w1, network_.bias));
    h = ops::gelu(context, ops::linear(context, h, network_.w2));
    const Tensor error =
        ops::sub(context, ops::linear(context, h, network_.w3), Tensor::from(device_, {16, 1}, y));
    Tensor loss = ops::mean(context, ops::square(context, error));
    if (batch % 3 == 0) loss = ops::mul(context, loss, network_.rare);
    log["first"] = x[0];
    newest_ = x[0];
    return loss;
  }
  // What only the rank of the last micro-batch knows.
  void after_step(Context&, int64_t) override {
    device_.copy_from_host(last_.raw(), &newest_, sizeof newest_);
    last_.touch();
  }
  int hidden_matrices(const std::string& name) const override { return name == "w2" ? 1 : 0; }
  void visit_state(const ParameterVisitor& visitor) override { visitor("last", last_); }
  nlohmann::json evaluate(int64_t step) override { return {{"evaluated", step}}; }
  void export_model(const fs::path& folder) override { fs::create_directories(folder); }

 private:
  Device& device_;
  Network network_;
  Tensor last_;
  float newest_ = 0;
  int64_t broken_from_;
};

struct Setup {
  OptimizerKind optimizer = OptimizerKind::adamw;
  int accumulate = 4;
  nlohmann::json settings = {{"network", "test"}};
};

const weights::SafetensorsState kFormat;

TrainResult run(const fs::path& folder, const std::shared_ptr<Comm>& comm, const Setup& setup,
                int64_t stop_after = -1) {
  const auto device = make_cpu_device(1);
  Task task(*device);
  TrainOptions options;
  options.steps = 12;
  options.learning_rate = {ScheduleKind::cosine, 1e-2, 1e-4, 2, 0, 12};
  options.optimizer.kind = setup.optimizer;
  options.optimizer.weight_decay = 0.01f;
  options.optimizer.clip_norm = 0.5f;
  options.ema_decay = 0.9f;
  options.accumulate = setup.accumulate;
  options.log_every = 1;
  options.evaluate_every = 5;
  options.checkpoint_every = 100;
  options.comm = comm;
  TrainRun train_run = {.folder = folder, .resume = true, .settings = setup.settings, .format = &kFormat};
  int64_t polled = 0;
  // The last rank alone is told to stop.
  train_run.stop_requested = [&] { return comm->rank() == comm->size() - 1 && ++polled == stop_after; };
  return train(*device, task, options, train_run);
}

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<nlohmann::json> figures(const fs::path& folder) {
  auto rows = read_metrics(folder / "metrics.jsonl");
  for (auto& row : rows) {
    row.erase("seconds_per_step");
    row.erase("sent_megabytes_per_step");
  }
  return rows;
}

void check_same(const fs::path& one, const fs::path& other) {
  CHECK(bytes_of(one / "checkpoints/checkpoint-00000012.safetensors") ==
        bytes_of(other / "checkpoints/checkpoint-00000012.safetensors"));
  CHECK(figures(one) == figures(other));
  CHECK(figures(one).size() == 12);
}

}  // namespace

TEST_CASE("a training's checkpoints and figures are those of one process, to the bit") {
  const auto comm = mpi_comm();
  for (const auto optimizer : {OptimizerKind::adamw, OptimizerKind::muon}) {
    // As many micro-batches as ranks, more, and no multiple of them.
    for (const int accumulate : {comm->size(), 2 * comm->size(), 2 * comm->size() - 1}) {
      CAPTURE(accumulate);
      const ScratchDir scratch;
      const Setup setup{optimizer, accumulate};
      CHECK(run(scratch / "ranks", comm, setup).finished);
      if (!comm->is_root()) {
        CHECK_FALSE(fs::exists(scratch / "ranks"));  // rank 0 alone writes
        continue;
      }
      run(scratch / "one", single_comm(), setup);
      check_same(scratch / "ranks", scratch / "one");
      CHECK(read_metrics(scratch / "ranks/metrics.jsonl")[3].at("sent_megabytes_per_step") > 0.001);
    }
  }
}

TEST_CASE("ranks go on from the checkpoint of one process, and one from theirs, to the bit") {
  const auto comm = mpi_comm();
  const ScratchDir scratch;
  for (const auto optimizer : {OptimizerKind::adamw, OptimizerKind::muon}) {
    const Setup setup{optimizer};
    const auto whole = scratch / "whole", from_one = scratch / "from_one",
               from_ranks = scratch / "from_ranks";
    if (comm->is_root()) {
      for (const auto& folder : {whole, from_one, from_ranks}) fs::remove_all(folder);
      run(whole, single_comm(), setup);
      CHECK(run(from_one, single_comm(), setup, 5).steps == 5);
    }
    CHECK(run(from_one, comm, setup).finished);
    const TrainResult stopped = run(from_ranks, comm, setup, 7);
    CHECK(stopped.steps == 7);
    CHECK_FALSE(stopped.finished);
    if (!comm->is_root()) continue;
    run(from_ranks, single_comm(), setup);
    check_same(from_one, whole);
    check_same(from_ranks, whole);
  }
}

TEST_CASE("ranks of other settings, and more ranks than micro-batches, are refused before any work") {
  const auto comm = mpi_comm();
  const ScratchDir scratch;
  Setup setup;
  if (comm->rank() == 1) setup.settings["network"] = "other";
  CHECK_THROWS_WITH_AS(run(scratch / "run", comm, setup),
                       doctest::Contains("'/settings/network' is \"other\", on rank 0 it is \"test\""),
                       Error);
  setup = {};
  setup.accumulate = comm->size() - 1;
  CHECK_THROWS_WITH_AS(run(scratch / "run", comm, setup), doctest::Contains("'train.accumulate' is"), Error);
  CHECK_FALSE(fs::exists(scratch / "run"));
}

TEST_CASE("parameters of another file are noticed") {
  const auto comm = mpi_comm();
  const ScratchDir scratch;
  const auto device = make_cpu_device(1);
  Task task(*device);
  if (comm->rank() == 1) static_cast<Network&>(task.model()).w1.floats()[0] += 1;
  TrainOptions options;
  options.accumulate = comm->size();
  options.comm = comm;
  CHECK_THROWS_WITH_AS(
      train(*device, task, options, {.folder = scratch / "run", .settings = {}, .format = &kFormat}),
      doctest::Contains("'/checksum of the first parameters' is"), Error);
}

TEST_CASE("numbers that are not finite on one rank end the training on all") {
  const auto comm = mpi_comm();
  const ScratchDir scratch;
  const auto device = make_cpu_device(1);
  Task task(*device, comm->rank() == comm->size() - 1 ? 0 : 1 << 20);
  TrainOptions options;
  options.accumulate = comm->size();
  options.log_every = 1;
  options.comm = comm;
  CHECK_THROWS_AS(
      train(*device, task, options, {.folder = scratch / "run", .settings = {}, .format = &kFormat}),
      Diverged);
  comm->barrier();
}

TEST_CASE("moments lie on one rank each, evenly") {
  const auto comm = mpi_comm();
  const auto device = make_cpu_device(1);
  Network network(*device);
  const size_t before = device->memory_use().in_use;
  const Optimizer sharded(network, {}, nullptr, nullptr, comm);
  const auto bytes = static_cast<double>(device->memory_use().in_use - before);
  double all = 0, most = 0;
  for (const auto& said : comm->all_gather(std::to_string(bytes))) {
    all += std::stod(said);
    most = std::max(most, std::stod(said));
  }
  const Optimizer whole(network, {});
  CHECK(all == static_cast<double>(device->memory_use().in_use - before) - bytes);
  CHECK(most < all);  // w2 is most of this network
}

}  // namespace dalle1::test
