// dalle1 bench clip: how near both encoders come to what this machine can do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "clip/clip.h"
#include "core/cpu/counting_device.h"
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

Tensor random_pictures(Device& device, const clip::ClipConfig& config, int64_t batch) {
  return ops::uniform(device, {batch, 3, config.image_resolution, config.image_resolution}, 0, 1, 1,
                      Stream::test);
}

Tensor some_texts(Device& device, const clip::ClipConfig& config, int64_t batch) {
  const int64_t end = config.end_token < 0 ? config.vocab_size - 1 : config.end_token;
  const std::vector<int64_t> ids(static_cast<size_t>(batch * config.context_length), end);
  return Tensor::from(device, {batch, config.context_length}, ids);
}

struct ClipWork {
  double picture = 0, text = 0;  // operations
};

// Counted where the model runs without computing.
ClipWork count_clip_work(const clip::ClipConfig& config, Device& like, const Precision& precision) {
  const auto device = make_counting_device(like);
  clip::Clip model(config, *device, precision);
  Context context(*device);
  model.encode_images(context, random_pictures(*device, config, 1));
  const double picture = device->operations();
  model.encode_texts(context, some_texts(*device, config, 1));
  return {picture, device->operations() - picture};
}

int bench_clip(const BenchOptions& options, const CommonOptions& common) {
  auto architecture = config_for(common, "clip");
  if (architecture.is_null()) architecture = weights::read_config("clip-vit-b-32");
  const auto config = clip::clip_config_from_json(architecture);
  const auto device = open_device(common);
  clip::Clip model(config, *device, bench_precision(common, *device));
  model.initialise(1);
  const int threads = device->threads();
  const auto peak = cpu::measure_peak(threads);
  const cpu::LoadMeter load;

  Context context(*device);
  const Tensor pictures = random_pictures(*device, config, options.batch);
  const Tensor texts = some_texts(*device, config, options.batch);
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
  const ClipWork work = count_clip_work(config, *device, bench_precision(common, *device));
  add("pictures", picture_time, work.picture);
  add("texts", text_time, work.text);
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
