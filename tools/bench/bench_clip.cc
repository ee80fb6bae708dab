// dalle1 bench clip: how near both encoders come to what this machine can do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "clip/clip.h"
#include "core/cpu/peak.h"
#include "core/ops/random.h"
#include "tools/bench/bench_peak.h"
#include "tools/bench/bench_timing.h"
#include "tools/models/models.h"
#include "tools/program/command.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
  int64_t batch = 32;
  double seconds = 10;
};

double block_flops(int64_t layers, int64_t width, int64_t mlp_width, int64_t tokens) {
  return static_cast<double>(layers * tokens) * (8.0 * width * width + 4.0 * width * (mlp_width + tokens));
}

// Multiplications and additions of one picture through a Vision Transformer.
double picture_flops(const clip::ClipConfig& config) {
  const int64_t side = config.image_resolution / config.vision_patch_size, patches = side * side;
  const double patch = 2.0 * 3 * config.vision_patch_size * config.vision_patch_size * config.vision_width;
  return static_cast<double>(patches) * patch +
         block_flops(config.vision_layers[0], config.vision_width, config.vision_mlp_width, patches + 1) +
         2.0 * config.vision_width * config.embed_dim;
}

double text_flops(const clip::ClipConfig& config) {
  return block_flops(config.transformer_layers, config.transformer_width, config.transformer_mlp_width,
                     config.context_length) +
         2.0 * config.transformer_width * config.embed_dim;
}

Tensor random_pictures(Device& device, const clip::ClipConfig& config, int64_t batch) {
  return ops::uniform(device, {batch, 3, config.image_resolution, config.image_resolution}, 0, 1, 1,
                      Stream::test);
}

int bench_clip(const BenchOptions& options, const CommonOptions& common) {
  auto architecture = config_for(common, "clip");
  if (architecture.is_null()) architecture = weights::read_config("clip-vit-b-32");
  const auto config = clip::clip_config_from_json(architecture);
  check(!config.is_resnet(), ErrorKind::usage, "bench clip counts the work of Vision Transformers only");
  const auto device = open_device(common);
  clip::Clip model(config, *device, bench_precision(common, *device));
  model.initialise(1);
  const int threads = device->threads();
  const auto peak = cpu::measure_peak(threads);
  const cpu::LoadMeter load;

  Context context(*device);
  const Tensor pictures = random_pictures(*device, config, options.batch);
  const int64_t end = config.end_token < 0 ? config.vocab_size - 1 : config.end_token;
  const std::vector<int64_t> ids(static_cast<size_t>(options.batch * config.context_length), end);
  const Tensor texts = Tensor::from(*device, {options.batch, config.context_length}, ids);
  const Timing picture_time = time_work(options.seconds / 2, [&] { model.encode_images(context, pictures); });
  const Timing text_time = time_work(options.seconds / 2, [&] { model.encode_texts(context, texts); });

  Json rows = Json::array();
  auto add = [&](const std::string& what, const Timing& timing, double flops) {
    const double gflops = flops * static_cast<double>(options.batch) / timing.best * 1e-9;
    rows.push_back({{"what", what},
                    {"count", options.batch},
                    {"seconds", timing.best},
                    {"median_seconds", timing.median},
                    {"gflops", gflops},
                    {"share_of_peak", gflops / peak.gflops}});
  };
  add("pictures", picture_time, picture_flops(config));
  add("texts", text_time, text_flops(config));
  const double others = load.others_cores();
  if (common.json) {
    fmt::print("{}\n", json_text(Json({{"device", device->describe()},
                                       {"threads", threads},
                                       {"peak_gflops", peak.gflops},
                                       {"others_cores", others},
                                       {"rows", rows}})));
    return 0;
  }
  fmt::print("peak of {} threads, measured now: {:.0f} GFLOP/s\n", threads, peak.gflops);
  for (const auto& row : rows) {
    fmt::print("{} {}: {:.3f} s (median {:.3f}), {:.0f} GFLOP/s, {:.0f}% of peak\n", options.batch,
               row["what"].get<std::string>(), row["seconds"].get<double>(),
               row["median_seconds"].get<double>(), row["gflops"].get<double>(),
               100 * row["share_of_peak"].get<double>());
  }
  fmt::print("other processes used {:.1f} cores meanwhile\n", others);
  return 0;
}

}  // namespace

Command bench_clip_command() {
  return {"bench clip", "Measure CLIP's encoders with random weights beside the machine's peak",
          "dalle1 bench clip --config clip-vit-b-32 --batch 32", [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<BenchOptions>();
            add_list_option(app, "--config", common.config, "PRESET or FILE; clip-vit-b-32 by default");
            add_bench_precision(app, common);
            app.add_option("--batch", options->batch, "Pictures, and texts, encoded together")
                ->check(CLI::Range(1, 4096))
                ->capture_default_str();
            app.add_option("--seconds", options->seconds, "How long to measure")
                ->check(CLI::PositiveNumber)
                ->capture_default_str();
            return [options, &common] { return bench_clip(*options, common); };
          }};
}

}  // namespace dalle1::tools
