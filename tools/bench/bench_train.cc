// dalle1 bench train: attention of each pattern against causal dense, and a whole training step.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/ops/random.h"
#include "core/train/loop.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_peak.h"
#include "tools/bench/bench_shape.h"
#include "tools/bench/bench_timing.h"
#include "tools/program/command.h"
#include "transformer/loss.h"

namespace dalle1::tools {
namespace {

using namespace transformer;
using Json = nlohmann::ordered_json;

struct TrainBench {
  BenchShape shape;
  int batch = 1;
  double seconds = 1.0;
  TrainOptions training;
};

Tensor noise(Device& device, const TrainBench& options, const Shape& shape) {
  const DType type = training_precision(options.training, device).activations;
  return ops::uniform(device, shape, 0, 1, 1, Stream::test).to(type);
}

struct AttentionCost {
  double seconds = 0;  // forward and backward
  size_t bytes = 0;    // inputs, outputs and gradients, and whatever the kernels allocate besides
};

AttentionCost attention_cost(Device& device, const TrainBench& options, const TransformerConfig& config,
                             const AttentionPattern& pattern) {
  const size_t before = device.memory_use().in_use;
  device.reset_peak();
  const Shape shape{options.batch, pattern.length(), config.heads, config.head_size()};
  const Tensor q = noise(device, options, shape), k = noise(device, options, shape),
               v = noise(device, options, shape), dy = noise(device, options, shape);
  const double seconds =
      time_work(options.seconds, [&] {
        attention_pass(q, k, v, dy, pattern, training_precision(options.training, device).compute);
        device.synchronize();
      }).best;
  return {seconds, device.memory_use().peak - before};
}

Json attention_rows(Device& device, const TrainBench& options, const TransformerConfig& config) {
  AttentionPattern pattern;
  pattern.text = config.text_length;
  pattern.grid = config.grid;
  pattern.kernel = config.schedule.kernel;
  const auto dense_ones = static_cast<double>(count_ones(pattern));
  Json rows = Json::array();
  double dense = 0;
  for (auto kind : {PatternKind::dense, PatternKind::row, PatternKind::column, PatternKind::conv}) {
    pattern.kind = kind;
    const AttentionCost cost = attention_cost(device, options, config, pattern);
    if (kind == PatternKind::dense) dense = cost.seconds;
    rows.push_back({{"pattern", name_of(pattern)},
                    {"seconds", cost.seconds},
                    {"of_dense", cost.seconds / dense},
                    {"bytes", cost.bytes},
                    {"ones_of_dense", static_cast<double>(count_ones(pattern)) / dense_ones}});
  }
  return rows;
}

// As many different ids as data has: what the gradient of an embedding costs goes by how often they repeat.
Tensor random_ids(Device& device, const Shape& shape, int32_t vocabulary) {
  RandomStream draws(1, Stream::test, static_cast<uint32_t>(vocabulary));
  std::vector<int64_t> ids(shape.numel());
  for (int64_t& id : ids) id = draws.below(static_cast<uint32_t>(vocabulary));
  return Tensor::from(device, shape, ids);
}

// A whole step: forward, backward, update.
Json step_row(Device& device, const TrainBench& options, const TransformerConfig& config) {
  Transformer model(device, config, training_precision(options.training, device));
  model.initialise(1);
  Optimizer optimizer(model, {});
  const TokenBatch batch{random_ids(device, {options.batch, config.text_length}, config.text_vocab),
                         random_ids(device, {options.batch, config.cells()}, config.image_vocab)};
  device.reset_peak();
  const double seconds = time_work(options.seconds, [&] {
                           Tape tape;
                           optimizer.watch(tape);
                           Context context(device, &tape);
                           context.training = true;
                           tape.backward(compute_loss(context, model, batch, {}).total);
                           optimizer.accumulate(tape);
                           optimizer.step(1e-4f);
                           device.synchronize();
                         }).best;
  const double positions = config.text_length + config.cells();
  const double flops =
      6.0 * options.batch *
      (positions * static_cast<double>(streamed_weights(config)) +
       config.text_length * static_cast<double>(config.width) * (config.text_classes() - config.image_vocab));
  return {{"samples_per_second", options.batch / seconds},
          {"seconds", seconds},
          {"gflops", flops / seconds * 1e-9},
          {"bytes", device.memory_use().peak}};
}

int bench_train(const TrainBench& options, const CommonOptions& common) {
  const TransformerConfig config = options.shape.config();
  const auto device = open_device(common);
  const cpu::MachinePeak peak = peak_of(*device);
  const cpu::LoadMeter load;
  Json document = {{"attention", attention_rows(*device, options, config)},
                   {"step", step_row(*device, options, config)}};
  document["peak_gflops"] = peak.gflops;
  document["others_cores"] = load.others_cores();
  if (common.json) {
    fmt::print("{}\n", json_text(document));
    return 0;
  }
  fmt::print("attention, forward + backward, {} + {} positions, {} heads of {}, batch {}\n",
             config.text_length, config.cells(), config.heads, config.head_size(), options.batch);
  for (const auto& row : document["attention"]) {
    fmt::print("  {:<20} {:>9.2f} ms  {:.3f} of dense (ones: {:.3f}), {:.1f} MiB\n",
               row["pattern"].get<std::string>(), row["seconds"].get<double>() * 1e3,
               row["of_dense"].get<double>(), row["ones_of_dense"].get<double>(),
               row["bytes"].get<double>() / (1 << 20));
  }
  const Json& step = document["step"];
  fmt::print("training step: {:.2f} samples/s, {:.0f} GFLOP/s of {:.0f}, {:.0f} MiB\n",
             step["samples_per_second"].get<double>(), step["gflops"].get<double>(), peak.gflops,
             step["bytes"].get<double>() / (1 << 20));
  fmt::print("other processes used {:.1f} cores meanwhile\n", load.others_cores());
  return 0;
}

}  // namespace

Command bench_train_command() {
  return {"bench train", "Measure training: each attention pattern against dense, and a whole step",
          "dalle1 bench train --layers 12 --width 512 --heads 8 --text 256 --batch 1",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<TrainBench>();
            options->shape.text = 256;
            add_bench_shape(app, options->shape);
            app.add_option("--batch", options->batch, "Samples of a step")
                ->check(CLI::Range(1, 4096))
                ->capture_default_str();
            app.add_option("--compute", options->training.compute,
                           "auto, f32 or bf16: of the step, as in a training file; without it bf16 on a GPU, "
                           "f32 on a CPU")
                ->check(CLI::IsMember({"auto", "f32", "bf16"}));
            app.add_option("--seconds", options->seconds, "Time for each figure")
                ->check(CLI::Range(0.01, 600.0))
                ->capture_default_str();
            return [options, &common] { return bench_train(*options, common); };
          }};
}

}  // namespace dalle1::tools
