#include "tools/draw/estimate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/error.h"
#include "rerank/model_set.h"
#include "tools/draw/machine_speed.h"
#include "tools/models/transformer_model.h"
#include "tools/program/progress.h"
#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

constexpr int kCpuWave = 64, kGpuWave = 256;

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Candidates in a wave, by itself. A GPU samples whole waves, so the last one is to be nearly full, too.
int automatic_gpu_wave(int candidates) {
  const int waves = (candidates + kGpuWave - 1) / kGpuWave;
  return (candidates + waves - 1) / waves;
}

int automatic_cpu_wave(int candidates) {
  constexpr int most = kCpuWave;
  // Waves of one size leave memory of one size behind; a wave much smaller than it could be wastes time.
  for (int wave = std::min(most, candidates); wave > most / 2; --wave)
    if (candidates % wave == 0) return wave;
  return std::min(most, candidates);
}

// What the process holds beside the device's memory: all pictures are RGB of one size.
double host_bytes(const DrawingPlan& plan, const DrawOptions& options, const rerank::ModelSet& models) {
  constexpr double row_bytes = 1000;  // of a candidate: its scores and where its tokens are
  constexpr double token_bytes = 40;  // of a token of the wave: in several forms and as text
  const double side = plan.device.picture_size, picture = 3 * side * side;
  const double kept = std::min(options.keep, plan.candidates), sheet = 1.2 * kept * picture;
  const double drawing = plan.wave * (picture + token_bytes * models.config().cells());
  // The sheet with its pictures, filtered and compressed.
  const double writing = kept * picture + 3 * sheet;
  return kept * picture + std::max(drawing, writing) + row_bytes * plan.candidates;
}

// The files are mapped while they are read, one after the other, and converted tensor by tensor.
double loading_bytes(const rerank::ModelSet& models) {
  const auto& transformer = models.checkpoint("transformer");
  int64_t largest = 0;
  for (const auto& tensor : transformer.tensors) largest = std::max(largest, tensor.numel());
  return static_cast<double>(transformer.byte_count()) + 4.0 * static_cast<double>(largest);
}

// Cells of a picture that are sampled one by one, as a share of all.
double sampled_share(std::span<const rerank::Redraw> redraws) {
  if (redraws.empty()) return 1;
  double share = 0;
  for (const auto& redraw : redraws) {
    const auto first = std::find(redraw.cells.begin(), redraw.cells.end(), 1) - redraw.cells.begin();
    share += 1 - static_cast<double>(first) / static_cast<double>(redraw.cells.size());
  }
  return share / static_cast<double>(redraws.size());
}

}  // namespace

WaveChoice choose_wave(int wanted, bool may_reduce, std::span<const std::string> kv_dtypes,
                       const std::function<bool(const WaveChoice&)>& fits) {
  for (int wave = wanted;; wave /= 2) {
    for (const auto& kv_dtype : kv_dtypes)
      if (fits({wave, kv_dtype})) return {wave, kv_dtype};
    if (!may_reduce || wave == 1) return {wave, kv_dtypes.back()};
  }
}

DrawOptions as_planned(DrawOptions options, const DrawingPlan& plan) {
  options.kv_dtype = plan.kv_dtype;
  return options;
}

DrawingPlan plan_drawing(const rerank::ModelSet& models, const DrawOptions& options, int prompts,
                         std::span<const rerank::Redraw> redraws) {
  const auto& config = models.config();
  auto& device = models.device();
  DrawingPlan plan;
  plan.on_gpu = !device.is_cpu();
  plan.candidates = static_cast<int>(options.candidate_indices().size());
  plan.decoded = options.prune > 0 ? std::min(options.prune, plan.candidates) : plan.candidates;
  plan.prompts = prompts;
  plan.available = static_cast<double>(device.available_memory());
  // With --only a GPU decodes as many at once as without, for the same bits.
  const int all = plan.on_gpu ? std::max(options.candidates, plan.candidates) : plan.candidates;
  const int automatic = plan.on_gpu ? automatic_gpu_wave(all) : automatic_cpu_wave(all);
  plan.wave = options.batch > 0 ? std::min(options.batch, all) : automatic;
  const int groups = options.guidance != 1.0 ? 2 : 1;
  const auto speed = measure_speed(device, config, plan.wave, groups, models.precision());
  plan.program = resident_bytes();
  const auto fits = [&](const WaveChoice& choice) {
    plan.wave = choice.wave;
    plan.kv_dtype = choice.kv_dtype;
    plan.device = rehearse(models, as_planned(options, plan), redraws,
                           plan.on_gpu ? plan.wave : plan.candidates, plan.wave);
    plan.pictures = std::max(host_bytes(plan, options, models),
                             loading_bytes(models) - plan.device.total() + plan.device.weights);
    return plan.memory() - (plan.on_gpu ? 0 : plan.program) <= plan.available;
  };
  using Names = std::vector<std::string>;
  Names kv_dtypes = {kv_dtype_of(options.kv_dtype, models.precision(), device)};
  if (kv_dtypes.front() == "auto") kv_dtypes = {"bf16", "mixed", "fp8"};
  choose_wave(plan.wave, options.batch == 0, kv_dtypes, fits);

  transformer::EstimateOptions of_prompt;
  of_prompt.groups = groups;
  const auto sampling = transformer::estimate(config, of_prompt);
  const double pictures = static_cast<double>(plan.candidates) * prompts;
  const double share = sampled_share(redraws),
               logits = static_cast<double>(config.cells()) * config.image_vocab;
  const int waves = (plan.candidates + plan.wave - 1) / plan.wave;
  const double sampled = plan.on_gpu ? static_cast<double>(waves * plan.wave) * prompts : pictures;
  plan.sample_seconds = share * sampled * (sampling.image_flops / speed.sampling + logits / speed.logits) +
                        prompts * sampling.prefill_flops / speed.together;
  const double decoded = static_cast<double>(plan.decoded) * prompts;
  plan.decode_seconds = decoded * plan.device.decode_operations / speed.together;
  plan.score_seconds =
      (decoded * plan.device.score_operations + pictures * plan.device.judge_operations) / speed.together;
  return plan;
}

void check_memory(const DrawingPlan& plan, const rerank::ModelSet& models) {
  const double needed = plan.memory() - (plan.on_gpu ? 0 : plan.program);
  check(needed <= plan.available, ErrorKind::memory,
        "this needs {} of memory ({} of weights, {} of keys and values for {} candidates at once) and {} has "
        "{} free: "
        "use a smaller --batch or a smaller model",
        bytes_text(needed), bytes_text(plan.device.weights), bytes_text(plan.device.cache), plan.wave,
        models.device().is_cpu() ? "this machine" : "the GPU", bytes_text(plan.available));
}

std::string describe(const DrawingPlan& plan) {
  return fmt::format(
      "estimate: {} of memory ({} of weights, {} of keys and values{}), about {} for {} candidates in waves "
      "of {}{} (sampling {}, decoding {}, scoring {})",
      bytes_text(plan.memory()), bytes_text(plan.device.weights), bytes_text(plan.device.cache),
      plan.kv_dtype == "f32" ? "" : " in " + plan.kv_dtype, duration_text(plan.seconds()),
      plan.candidates * plan.prompts, plan.wave,
      plan.decoded < plan.candidates ? fmt::format(", {} decoded", plan.decoded * plan.prompts) : "",
      duration_text(plan.sample_seconds), duration_text(plan.decode_seconds),
      duration_text(plan.score_seconds));
}

rerank::Json to_json(const DrawingPlan& plan) {
  return {{"wave", plan.wave},
          {"kv_dtype", plan.kv_dtype},
          {"candidates", plan.candidates},
          {"decoded", plan.decoded},
          {"prompts", plan.prompts},
          {"memory_bytes",
           {{"total", plan.memory()},
            {"weights", plan.device.weights},
            {"cache", plan.device.cache},
            {"workspace", plan.device.workspace},
            {"pictures", plan.pictures},
            {"program", plan.program},
            {"available", plan.available}}},
          {"seconds",
           {{"total", plan.seconds()},
            {"sample", plan.sample_seconds},
            {"decode", plan.decode_seconds},
            {"score", plan.score_seconds}}}};
}

}  // namespace dalle1::tools
