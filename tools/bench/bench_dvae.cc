// dalle1 bench dvae: how near encoding and decoding come to what this machine can do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

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

struct Work {
  double encode_flops = 0, decode_flops = 0;  // of one picture
  int64_t encode_parameters = 0, decode_parameters = 0;
};

// Two operations per weight and pixel of the level at which a convolution runs; its name says which. The
// decoder's first convolution is a look-up and computes nothing.
Work count_work(dvae::OpenAiDvae& model, int64_t size) {
  Work work;
  const int groups = model.options().groups;
  model.visit([&](const std::string& name, Tensor& tensor) {
    const bool encoder = name.starts_with("encoder.");
    (encoder ? work.encode_parameters : work.decode_parameters) += tensor.numel();
    if (tensor.rank() != 4 || name == "decoder.blocks.input.w") return;
    const size_t at = name.find("group_");
    const bool ends = at == name.npos;
    const int group = ends ? 0 : name[at + 6] - '1';
    const bool coarse_end = ends && name.find("output") != name.npos;
    const int level = encoder ? (coarse_end ? groups - 1 : group) : (ends ? 0 : groups - 1 - group);
    const auto pixels = static_cast<double>((size >> level) * (size >> level));
    (encoder ? work.encode_flops : work.decode_flops) += 2.0 * static_cast<double>(tensor.numel()) * pixels;
  });
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
        "bench dvae counts the work of OpenAI's graph only");
  const auto device = open_device(common);
  dvae::OpenAiDvae model(*device, dvae::OpenAiConfig::from_json(architecture),
                         bench_precision(common, *device));
  dvae::initialise(model, 1);
  const Work work = count_work(model, options.size);
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
