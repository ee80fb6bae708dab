// dalle1 bench dvae: how near encoding and decoding come to what this machine can do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/cpu/counting_device.h"
#include "core/cpu/peak.h"
#include "core/ops/random.h"
#include "dvae/openai_dvae.h"
#include "tools/bench/bench_peak.h"
#include "tools/bench/bench_timing.h"
#include "tools/models/models.h"
#include "tools/program/command.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

struct DvaeBench {
  int64_t size = 256, batch = 1;
  double seconds = 10;
};

struct DvaeWork {
  double encode_flops = 0, decode_flops = 0;  // of one picture
  int64_t encode_parameters = 0, decode_parameters = 0;
};

// Counted where the model runs without computing.
DvaeWork count_dvae_work(const nlohmann::json& architecture, Device& like, const Precision& precision,
                         int64_t size) {
  const auto device = make_counting_device(like);
  const auto model = dvae::make_dvae(architecture, *device, precision);
  DvaeWork work;
  model->visit([&](const std::string& name, Tensor& tensor) {
    (name.starts_with("encoder.") ? work.encode_parameters : work.decode_parameters) += tensor.numel();
  });
  Context context(*device);
  const Tensor codes = model->encode_indices(context, Tensor::zeros(*device, {1, 3, size, size}));
  work.encode_flops = device->operations();
  model->decode(context, codes);
  work.decode_flops = device->operations() - work.encode_flops;
  return work;
}

Json row_of(const std::string& what, const Timing& timing, double flops, int64_t batch, double peak) {
  const double gflops = flops * static_cast<double>(batch) / timing.best * 1e-9;
  return {{"what", what},
          {"pictures", batch},
          {"gflop_per_picture", flops * 1e-9},
          {"seconds", timing.best},
          {"median_seconds", timing.median},
          {"gflops", gflops},
          {"share_of_peak", gflops / peak}};
}

int bench_dvae(const DvaeBench& options, const CommonOptions& common) {
  auto architecture = config_for(common, "dvae");
  if (architecture.is_null()) architecture = weights::read_config("openai-dvae");
  check(architecture.value("kind", "") == "openai", ErrorKind::usage,
        "bench dvae makes random weights of OpenAI's graph only");
  const auto device = open_device(common);
  dvae::OpenAiDvae model(*device, dvae::OpenAiConfig::from_json(architecture),
                         bench_precision(common, *device));
  dvae::initialise(model, 1);
  const DvaeWork work =
      count_dvae_work(architecture, *device, bench_precision(common, *device), options.size);
  const int threads = device->threads();
  const auto peak = cpu::measure_peak(threads);
  const cpu::LoadMeter load;

  Context context(*device);
  const Tensor images =
      ops::uniform(*device, {options.batch, 3, options.size, options.size}, 0, 1, 1, Stream::test);
  const Tensor codes = model.encode_indices(context, images);
  Json rows = Json::array();
  const Timing encode = time_work(options.seconds / 2, [&] { model.encode_indices(context, images); });
  rows.push_back(row_of("encode", encode, work.encode_flops, options.batch, peak.gflops));
  const Timing decode = time_work(options.seconds / 2, [&] { model.decode(context, codes); });
  rows.push_back(row_of("decode", decode, work.decode_flops, options.batch, peak.gflops));
  const double others = load.others_cores();
  if (common.json) {
    fmt::print("{}\n", json_text(Json({{"device", device->describe()},
                                       {"threads", threads},
                                       {"size", options.size},
                                       {"encoder_parameters", work.encode_parameters},
                                       {"decoder_parameters", work.decode_parameters},
                                       {"peak_gflops", peak.gflops},
                                       {"others_cores", others},
                                       {"rows", rows}})));
    return 0;
  }
  fmt::print("{:.1f}M parameters in the encoder, {:.1f}M in the decoder\n",
             static_cast<double>(work.encode_parameters) * 1e-6,
             static_cast<double>(work.decode_parameters) * 1e-6);
  fmt::print("peak of {} threads, measured now: {:.0f} GFLOP/s\n", threads, peak.gflops);
  for (const auto& row : rows) {
    fmt::print(
        "{} {}x{}, {} at a time: {:.3f} s (median {:.3f}), {:.1f} GFLOP each, {:.0f} GFLOP/s, {:.0f}% of "
        "peak\n",
        row["what"].get<std::string>(), options.size, options.size, options.batch,
        row["seconds"].get<double>(), row["median_seconds"].get<double>(),
        row["gflop_per_picture"].get<double>(), row["gflops"].get<double>(),
        100 * row["share_of_peak"].get<double>());
  }
  fmt::print("other processes used {:.1f} cores meanwhile\n", others);
  return 0;
}

}  // namespace

Command bench_dvae_command() {
  return {"bench dvae", "Measure a dVAE with random weights beside the machine's peak",
          "dalle1 bench dvae --config openai-dvae --size 256", [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<DvaeBench>();
            add_list_option(app, "--config", common.config, "PRESET or FILE; openai-dvae by default");
            add_bench_precision(app, common);
            app.add_option("--size", options->size, "Side of the pictures")
                ->check(CLI::Range(64, 4096))
                ->capture_default_str();
            app.add_option("--batch", options->batch, "Pictures at a time")
                ->check(CLI::Range(1, 1024))
                ->capture_default_str();
            app.add_option("--seconds", options->seconds, "How long to measure")
                ->check(CLI::PositiveNumber)
                ->capture_default_str();
            return [options, &common] { return bench_dvae(*options, common); };
          }};
}

}  // namespace dalle1::tools
