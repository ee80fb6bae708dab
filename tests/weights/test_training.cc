// The training loop end to end: a small network, its golden loss curve, resume to the bit, and kills at
// random times.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/random/philox.h"
#include "core/train/loop.h"
#include "tests/support/fake_gpu.h"
#include "tests/support/golden.h"
#include "weights/training_state.h"

namespace dalle1::test {
namespace {

// y = sin(3 a) + b^2 by 2 -> 24 -> 24 -> 1 with a layer norm.
class Network final : public Module {
 public:
  explicit Network(Device& device) {
    w1_ = random(device, {24, 2}, 1, 0.7f);
    b1_ = Tensor::zeros(device, {24});
    gain_ = Tensor::full(device, {24}, 1.0f);
    shift_ = Tensor::zeros(device, {24});
    w2_ = random(device, {24, 24}, 2, 0.2f);
    w3_ = random(device, {1, 24}, 3, 0.2f);
  }
  void visit(const ParameterVisitor& visitor) override {
    visitor("w1", w1_);
    visitor("b1", b1_);
    visitor("norm.weight", gain_);
    visitor("norm.bias", shift_);
    visitor("w2", w2_);
    visitor("w3", w3_);
  }
  Tensor forward(Context& context, const Tensor& x) const {
    Tensor h = ops::gelu(context, ops::linear(context, x, w1_, b1_));
    h = ops::layer_norm(context, h, gain_, shift_);
    h = ops::dropout(context, ops::gelu(context, ops::linear(context, h, w2_)), 0.05f, 1);
    return ops::linear(context, h, w3_);
  }

 private:
  static Tensor random(Device& device, const Shape& shape, uint32_t index, float scale) {
    RandomStream stream(1, Stream::initialisation, index);
    std::vector<float> values(shape.numel());
    for (float& value : values) value = scale * stream.normal();
    return Tensor::from(device, shape, values);
  }
  Tensor w1_, b1_, gain_, shift_, w2_, w3_;
};

class Task : public TrainTask {
 public:
  explicit Task(Device& device) : device_(device), network_(device) {}
  Module& model() override { return network_; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json&) override {
    RandomStream random(5, Stream::test, static_cast<uint32_t>(batch));
    std::vector<float> x, y;
    for (int i = 0; i < 32; ++i) {
      const float a = random.uniform(), b = random.uniform();
      x.insert(x.end(), {a, b});
      y.push_back(std::sin(3 * a) + b * b);
    }
    const Tensor error = ops::sub(context, network_.forward(context, Tensor::from(device_, {32, 2}, x)),
                                  Tensor::from(device_, {32, 1}, y));
    return ops::mean(context, ops::square(context, error));
  }
  void export_model(const std::filesystem::path& folder) override {
    std::filesystem::create_directories(folder);
  }

 private:
  Device& device_;
  Network network_;
};

TrainOptions small_options(int64_t steps) {
  TrainOptions options;
  options.steps = steps;
  options.learning_rate = {ScheduleKind::cosine, 1e-2, 1e-4, 5, 0, 60};
  options.optimizer.weight_decay = 0.01f;
  options.optimizer.clip_norm = 1.0f;
  options.ema_decay = 0.9f;
  options.accumulate = 2;
  options.log_every = 1;
  options.evaluate_every = 1000;
  options.checkpoint_every = 5;
  return options;
}

const weights::SafetensorsState kFormat;

TrainResult run(const std::filesystem::path& folder, int64_t steps, bool resume, int64_t stop_after = -1) {
  const auto device = make_cpu_device(1);
  Task task(*device);
  int64_t polled = 0;
  TrainRun setup = {
      .folder = folder, .resume = resume, .settings = {{"network", "test"}}, .format = &kFormat};
  setup.stop_requested = [&] { return ++polled == stop_after; };
  return train(*device, task, small_options(steps), setup);
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a small network falls along its golden loss curve") {
  ScratchDir scratch;
  CHECK(run(scratch.path(), 60, false).finished);
  const auto rows = read_metrics(scratch / "metrics.jsonl");
  REQUIRE(rows.size() == 60);
  std::ifstream file(golden("training/loss_curve.json"));
  const auto expected = nlohmann::json::parse(file);
  for (size_t i = 0; i < 60; ++i) {
    CAPTURE(i);
    CHECK(rows[i]["loss"].get<double>() == doctest::Approx(expected[i].get<double>()).epsilon(2e-3));
  }
  CHECK(rows.back()["loss"].get<double>() < 0.1 * rows.front()["loss"].get<double>());
  CHECK(std::filesystem::exists(scratch / "metrics.csv"));
  CHECK(std::filesystem::exists(scratch / "curves.svg"));
}

TEST_CASE("steps compute in bf16 on a GPU, in f32 on the CPU and where a training file says so") {
  const auto trained_in = [](Device& device, const std::string& compute) {
    TrainOptions options = small_options(2);
    options.compute = compute;
    return training_precision(options, device);
  };
  FakeGpu gpu;
  const auto cpu = make_cpu_device(1);
  const DType narrow = cpu->multiplies_bf16() ? DType::bf16 : DType::f32;
  for (const auto& [compute, on_gpu, on_cpu] : {std::tuple{"", DType::bf16, DType::f32},
                                                {"f32", DType::f32, DType::f32},
                                                {"bf16", DType::bf16, narrow},
                                                {"auto", DType::bf16, narrow}}) {
    CAPTURE(compute);
    const Precision of_gpu = trained_in(gpu, compute), of_cpu = trained_in(*cpu, compute);
    CHECK(of_gpu.parameters == DType::f32);
    CHECK(of_gpu.compute == on_gpu);
    CHECK(of_gpu.activations == on_gpu);
    CHECK(of_cpu.parameters == DType::f32);
    CHECK(of_cpu.compute == on_cpu);
    CHECK(of_cpu.activations == DType::f32);
  }
  CHECK_THROWS_WITH_AS(train_options_from_json({{"compute", "f16"}}, {}),
                       "'train.compute' is 'f16'; it must be auto, f32 or bf16", Error);
}

TEST_CASE("a training that asks for bf16 where the processor has none says so once") {
  const auto cpu = make_cpu_device(1);
  ScratchDir scratch;
  Task task(*cpu);
  TrainOptions options = small_options(3);
  options.compute = "bf16";
  options.log_every = 1;
  std::vector<std::string> warnings;
  train(*cpu, task, options,
        {.folder = scratch.path(),
         .settings = {},
         .format = &kFormat,
         .report = [&](const nlohmann::json& row) {
           if (row.contains("warning")) warnings.push_back(row.at("warning"));
         }});
  if (cpu->multiplies_bf16())
    CHECK(warnings.empty());
  else
    CHECK(warnings == std::vector<std::string>{
                          "this processor has no arithmetic of bf16 (AVX512-BF16 or AMX): computing in f32"});
}

TEST_CASE("under a deadline the schedules follow the time, and the training ends with it") {
  // A step takes a second of this clock.
  struct SlowTask : Task {
    using Task::Task;
    void begin_step(int64_t place) override { places.push_back(place); }
    void after_step(Context&, int64_t) override { seconds += 1; }
    std::vector<int64_t> places;
    double seconds = 0;
  };
  ScratchDir scratch;
  const auto device = make_cpu_device(1);
  SlowTask task(*device);
  TrainOptions options = small_options(60);
  options.deadline_seconds = 20;
  TrainRun setup = {.folder = scratch.path(), .settings = {{"network", "test"}}, .format = &kFormat};
  setup.elapsed = [&] { return task.seconds; };
  const TrainResult result = train(*device, task, options, setup);
  CHECK(result.finished);
  CHECK(result.steps == 20);
  const auto rows = read_metrics(scratch / "metrics.jsonl");
  REQUIRE(rows.size() == 20);
  REQUIRE(task.places.size() == 20);
  for (int64_t step = 0; step < 20; ++step) {
    CHECK(task.places[step] == 3 * step);
    CHECK(rows[step]["learning_rate"].get<float>() == static_cast<float>(options.learning_rate.at(3 * step)));
  }
  CHECK(std::filesystem::exists(scratch / "model"));
}

TEST_CASE("stop, resume and run on equals the uninterrupted run bit for bit") {
  ScratchDir straight, stopped;
  run(straight.path(), 20, false);
  const TrainResult first = run(stopped.path(), 20, false, 7);
  CHECK(first.steps == 7);
  CHECK_FALSE(first.finished);
  CHECK(run(stopped.path(), 20, true).finished);
  const std::string name = "checkpoints/checkpoint-00000020.safetensors";
  CHECK(bytes_of(straight / name) == bytes_of(stopped / name));
}

TEST_CASE("seconds of a step are right however many steps a row stands for") {
  class SlowTask final : public Task {
   public:
    using Task::Task;
    Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return Task::loss(context, batch, log);
    }
  };
  ScratchDir scratch;
  const auto device = make_cpu_device(1);
  SlowTask task(*device);
  TrainOptions options = small_options(8);
  options.accumulate = 1;
  options.log_every = 5;
  options.evaluate_every = 3;
  train(*device, task, options, {.folder = scratch.path(), .settings = {}, .format = &kFormat});
  const auto rows = read_metrics(scratch / "metrics.jsonl");
  REQUIRE(rows.size() == 4);  // after 3, 5, 6 and 8 steps
  for (const auto& row : rows) CHECK(row["seconds_per_step"].get<double>() >= 0.002);
}

TEST_CASE("a resume with other settings is refused by name") {
  ScratchDir scratch;
  run(scratch.path(), 5, false);
  const auto device = make_cpu_device(1);
  Task task(*device);
  TrainRun setup = {
      .folder = scratch.path(), .resume = true, .settings = {{"network", "other"}}, .format = &kFormat};
  CHECK_THROWS_WITH_AS(train(*device, task, small_options(10), setup),
                       doctest::Contains("'/network' differs"), Error);
}

TEST_CASE("a damaged newest checkpoint is passed over for the previous one") {
  ScratchDir scratch;
  run(scratch.path(), 10, false);
  std::filesystem::resize_file(scratch / "checkpoints/checkpoint-00000010.safetensors", 100);
  const CheckpointStore store(scratch / "checkpoints", kFormat);
  REQUIRE(store.latest());
  CHECK(store.latest()->filename() == "checkpoint-00000005.safetensors");
}

// Not a test of its own: the process that the next test kills.
TEST_CASE("training child" * doctest::skip()) {
  if (const char* folder = std::getenv("DALLE1_TEST_TRAINING_FOLDER")) run(folder, 100000, true);
}

namespace {

bool has_checkpoint(const std::filesystem::path& folder) {
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
    if (entry.path().extension() == ".safetensors") return true;
  }
  return false;
}

pid_t start_child() {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(open("/dev/null", O_WRONLY), 1);
    execl("/proc/self/exe", "dalle1_tests", "--test-case=training child", "--no-skip", nullptr);
    _exit(127);
  }
  return child;
}

// The first child lives until its first checkpoint, which also tells how long a start takes on this machine;
// the others die at random moments around that.
void kill_and_check(int kills) {
  ScratchDir scratch;
  setenv("DALLE1_TEST_TRAINING_FOLDER", scratch.path().c_str(), 1);
  RandomStream random(11, Stream::test);
  constexpr uint32_t kPoll = 2000, kLongest = 120'000'000;  // microseconds
  uint32_t start = 0;
  int64_t reached = 0;
  for (int i = 0; i < kills; ++i) {
    const pid_t child = start_child();
    for (; i == 0 && start < kLongest && !has_checkpoint(scratch / "checkpoints"); start += kPoll)
      usleep(kPoll);
    usleep(i == 0 ? kPoll : start / 2 + random.below(start + kPoll));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    const CheckpointStore store(scratch / "checkpoints", kFormat);
    const auto newest = store.latest();
    REQUIRE(newest);
    const int64_t step = kFormat.read_state(*newest).at("step").get<int64_t>();
    CHECK(step >= reached);
    reached = step;
  }
  CHECK(reached > 0);
  unsetenv("DALLE1_TEST_TRAINING_FOLDER");
}

}  // namespace

TEST_CASE("killing a training at random times always leaves a checkpoint that loads") { kill_and_check(50); }

TEST_CASE("killing a training 500 times" * doctest::test_suite("long")) { kill_and_check(500); }

}  // namespace dalle1::test
