#include "tools/estimate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "clip/config.h"
#include "core/error.h"
#include "core/ops/linear.h"
#include "tools/progress.h"
#include "tools/studio.h"
#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

constexpr int kCpuWave = 64, kGpuWave = 256;
constexpr int kPicturesAtOnce = 4, kScoredAtOnce = 16;  // of DvaeDecoder and ClipScorer

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Products per second at the shape that sampling has most of.
double measure_flops(Device& device, int64_t rows, int64_t width) {
  Context context(device);
  const auto x = Tensor::full(device, {rows, width}, 0.5f),
             w = Tensor::full(device, {4 * width, width}, 0.25f);
  ops::linear(context, x, w);  // packs
  device.synchronize();
  int64_t runs = 0;
  const auto begin = std::chrono::steady_clock::now();
  double seconds = 0;
  while (seconds < 0.15) {
    ops::linear(context, x, w);
    device.synchronize();
    ++runs;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  return 8.0 * static_cast<double>(runs * rows * width * width) / seconds;
}

// Side of the grid on which a decoder's tensor works, from its name: groups double it in OpenAI's order and
// halve it in the VQGAN's.
int64_t side_of(const std::string& name, int64_t grid, int levels) {
  if (const auto at = name.find(".group_"); at != std::string::npos) return grid << (name[at + 7] - '1');
  if (const auto at = name.find("decoder.up."); at != std::string::npos)
    return grid << std::max(0, levels - 1 - (name[at + 11] - '0'));
  const bool last =
      name.find("blocks.output") != std::string::npos || name.find("conv_out") != std::string::npos;
  return last ? grid << (levels - 1) : grid;
}

struct PictureCost {
  double flops = 0, bytes = 0;  // of one picture
};

PictureCost decode_cost(const weights::Checkpoint& dvae, int64_t grid) {
  const auto& config = dvae.config;
  const bool openai = config.value("kind", std::string()) == "openai";
  const int levels = openai ? config.value("groups", 4)
                            : static_cast<int>(config.value("ch_mult", std::vector<int>{1}).size());
  const double finest = openai ? config.value("hidden", 256.0) : config.value("ch", 128.0);
  PictureCost cost;
  for (const auto& tensor : dvae.tensors) {
    // The first convolution over one-hot codes is a look-up.
    if (tensor.name.rfind("decoder.", 0) != 0 || tensor.shape.size() != 4 ||
        tensor.name.find("blocks.input") != std::string::npos)
      continue;
    const auto side = static_cast<double>(side_of(tensor.name, grid, levels));
    cost.flops += 2.0 * static_cast<double>(tensor.numel()) * side * side;
  }
  // At the finest level a block holds its input of twice the width, its output and the narrow path.
  const double side = static_cast<double>(grid << (levels - 1));
  cost.bytes = 4.0 * side * side * finest * 4.5;
  return cost;
}

PictureCost clip_cost(const weights::Checkpoint& checkpoint) {
  const auto config = clip::clip_config_from_json(checkpoint.config);
  double weights = 0;
  for (const auto& tensor : checkpoint.tensors)
    if (tensor.name.rfind("visual.", 0) == 0 && tensor.shape.size() >= 2)
      weights += static_cast<double>(tensor.numel());
  const double patch = config.is_resnet() ? 16.0 : static_cast<double>(config.vision_patch_size);
  const double tokens = std::pow(static_cast<double>(config.image_resolution) / patch, 2) + 1;
  const double resolution = static_cast<double>(config.image_resolution);
  return {2 * weights * tokens,
          4.0 * (tokens * static_cast<double>(config.vision_width) * 14 + 9 * resolution * resolution)};
}

}  // namespace

DrawingPlan plan_drawing(const Studio& studio, const DrawOptions& options, int prompts) {
  const auto& config = studio.config();
  auto& device = studio.device();
  transformer::EstimateOptions estimate_options;
  estimate_options.groups = options.guidance != 1.0 ? 2 : 1;
  const auto sampling = transformer::estimate(config, estimate_options);
  const auto decoding = decode_cost(studio.checkpoint("dvae"), config.grid);
  const auto scoring = studio.has_clip() ? clip_cost(studio.checkpoint("clip")) : PictureCost();

  DrawingPlan plan;
  plan.candidates = static_cast<int>(options.candidate_indices().size());
  plan.prompts = prompts;
  plan.program = resident_bytes();
  plan.available = static_cast<double>(device.available_memory());
  plan.weights = static_cast<double>(sampling.weights) +
                 4.0 * static_cast<double>(studio.checkpoint("dvae").parameter_count());
  if (studio.has_clip())
    plan.weights += 4.0 * static_cast<double>(studio.checkpoint("clip").parameter_count());
  // The products of the CPU keep their weights packed beside the plain ones.
  if (device.is_cpu()) plan.weights += static_cast<double>(sampling.weights);
  const double size = static_cast<double>(config.grid) * 8;
  const double kept = std::min(options.keep, plan.candidates);
  plan.pictures = (2 * kept * 3 + 3 * 1.2 * kept) * size * size;

  const auto bytes_at = [&](int wave) {
    plan.cache = static_cast<double>(sampling.prefix) + wave * static_cast<double>(sampling.cache);
    const double drawing = wave * 3 * size * size;
    plan.workspace =
        std::max({wave * static_cast<double>(sampling.workspace), kPicturesAtOnce * decoding.bytes + drawing,
                  kScoredAtOnce * scoring.bytes + drawing});
    return plan.memory() - plan.program;
  };
  plan.wave =
      options.batch > 0 ? options.batch : std::min(device.is_cpu() ? kCpuWave : kGpuWave, plan.candidates);
  plan.wave = std::min(plan.wave, plan.candidates);
  while (options.batch == 0 && plan.wave > 1 && bytes_at(plan.wave) > plan.available) plan.wave /= 2;
  bytes_at(plan.wave);

  const double rate = measure_flops(device, plan.wave, config.width);
  const double pictures = static_cast<double>(plan.candidates) * prompts;
  plan.sample_seconds = (pictures * sampling.image_flops + prompts * sampling.prefill_flops) / rate;
  plan.decode_seconds = pictures * decoding.flops / rate;
  plan.score_seconds = pictures * scoring.flops / rate;
  return plan;
}

void check_memory(const DrawingPlan& plan, const Studio& studio) {
  const double needed = plan.memory() - plan.program;
  check(needed <= plan.available, ErrorKind::memory,
        "this needs {} of memory ({} of weights, {} of keys and values for {} candidates at once) and {} has "
        "{} free: "
        "use a smaller --batch or a smaller model",
        bytes_text(needed), bytes_text(plan.weights), bytes_text(plan.cache), plan.wave,
        studio.device().is_cpu() ? "this machine" : "the GPU", bytes_text(plan.available));
}

std::string describe(const DrawingPlan& plan) {
  return fmt::format(
      "estimate: {} of memory ({} of weights, {} of keys and values), about {} for {} candidates in waves of "
      "{} "
      "(sampling {}, decoding {}, scoring {})",
      bytes_text(plan.memory()), bytes_text(plan.weights), bytes_text(plan.cache),
      duration_text(plan.seconds()), plan.candidates * plan.prompts, plan.wave,
      duration_text(plan.sample_seconds), duration_text(plan.decode_seconds),
      duration_text(plan.score_seconds));
}

rerank::Json to_json(const DrawingPlan& plan) {
  return {{"wave", plan.wave},
          {"candidates", plan.candidates},
          {"prompts", plan.prompts},
          {"memory_bytes",
           {{"total", plan.memory()},
            {"weights", plan.weights},
            {"cache", plan.cache},
            {"workspace", plan.workspace},
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
