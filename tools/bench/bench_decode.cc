// dalle1 bench decode: how fast cached decoding is, beside what the machine can do.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "core/cuda/activity.h"
#include "core/ops/random.h"
#include "tools/bench/bench_peak.h"
#include "tools/bench/bench_shape.h"
#include "tools/models/transformer_model.h"
#include "tools/program/command.h"
#include "transformer/decoder.h"
#include "transformer/estimate.h"
#include "transformer/shared_decoder.h"

namespace dalle1::tools {
namespace {

using namespace transformer;

struct DecodeBench {
  BenchShape shape;
  int candidates = 1;
  int prompts = 1;
  int cells = 0;  // 0: all
  std::string kv_dtype = "auto";
  std::string precision = "auto";
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Measured {
  double prefill_seconds = 0, seconds = 0;
  int32_t cells = 0;
  Decoder::CacheUse cache;
  std::vector<PartTime> parts;  // on a GPU
  int32_t profiled_cells = 0;
};

void fill_uniform(const Tensor& parameter, float half_width, uint32_t index) {
  const Tensor values = ops::uniform(parameter.device(), parameter.shape(), -half_width, half_width, 1,
                                     Stream::initialisation, index);
  parameter.copy_from(values.to(parameter.dtype()));
}

// Weights of the size that initialise() gives, made on the GPU: drawing 12B of them on the host takes longer
// than the measurement.
void randomise_on_device(Transformer& model) {
  uint32_t index = 0;
  model.visit([&](const std::string&, Tensor& parameter) {
    if (parameter.rank() < 2) return;
    const float half_width = std::sqrt(0.75f / static_cast<float>(model.config().width));
    fill_uniform(parameter, half_width, index++);
  });
}

// Eight bits each of a linear congruential generator's high half, and scales that give the same size.
void randomise_int8(Transformer& model) {
  uint64_t state = 1;
  const float step = std::sqrt(0.75f / static_cast<float>(model.config().width)) / 127;
  model.visit([&](const std::string& name, Tensor& parameter) {
    if (parameter.dtype() == DType::i8) {
      auto* values = parameter.data<int8_t>();
      for (int64_t i = 0; i < parameter.numel(); ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = static_cast<int8_t>(static_cast<int>(state >> 33) % 128);
      }
    } else if (name.ends_with(".scale")) {
      std::fill_n(parameter.floats(), parameter.numel(), step);
    } else if (parameter.rank() >= 2) {
      fill_uniform(parameter, 127 * step, 0);
    }
  });
}

void randomise(Transformer& model, const Precision& precision) {
  if (precision.parameters == DType::i8) return randomise_int8(model);
  if (model.device().is_cpu()) return model.initialise(1);
  randomise_on_device(model);
}

// Between two reports of progress, after a warm-up; timing op by op takes longer than the recorded step.
void profile(Decoder& decoder, Context& context, std::span<const uint32_t> candidates, Measured& result) {
  int32_t begin = 0;
  Decoder::Hooks hooks;
  hooks.progress = [&](int32_t cells) {
    if (begin == 0) {
      begin = cells;
      start_profile(*context.device);
      return true;
    }
    result.profiled_cells = cells - begin;
    return false;
  };
  decoder.decode(candidates, hooks);
  result.parts = end_profile(*context.device);
}

// Requests of several threads, each with its part of the candidates, that share steps.
void decode_shared(Context& context, const Prompt& prompt, const DecodeBench& options, int32_t wanted,
                   Measured& result) {
  check(context.device->is_cpu(), ErrorKind::usage, "several prompts share steps on a CPU alone");
  check(options.candidates % options.prompts == 0, ErrorKind::usage,
        "{} candidates are not the same number for each of {} prompts", options.candidates, options.prompts);
  std::vector<Prompt> prompts;
  for (int i = 0; i < options.prompts; ++i) prompts.emplace_back(context, prompt.model(), prompt.request());
  SharedDecoder shared(/*most_rows=*/1 << 20, [](const auto& work) { work(); });
  std::vector<std::thread> callers;
  const Stopwatch clock;
  for (int i = 0; i < options.prompts; ++i) {
    callers.emplace_back([&, i] {
      std::vector<uint32_t> candidates(options.candidates / options.prompts);
      std::iota(candidates.begin(), candidates.end(), 0u);
      shared.decode(prompts[i], candidates,
                    [wanted](const auto& standing) { return standing.cells < wanted; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  result.seconds = clock.seconds();
  result.cells = wanted;
}

Measured measure(const DecodeBench& options, Context& context, const Transformer& model) {
  const TransformerConfig& config = model.config();
  DecodeRequest request;
  request.text = empty_text_slots(config, {});
  request.cache = cache_type_from_name(options.kv_dtype);
  const Stopwatch start;
  Decoder decoder(context, model, request);
  context.device->synchronize();
  Measured result;
  result.prefill_seconds = start.seconds();
  std::vector<uint32_t> candidates(options.candidates);
  std::iota(candidates.begin(), candidates.end(), 0u);
  const int32_t wanted = options.cells ? std::min(options.cells, config.cells()) : config.cells();
  Decoder::Hooks hooks;
  hooks.progress = [&](int32_t cells) { return cells < wanted; };
  if (options.prompts > 1) {
    decode_shared(context, decoder.prompt(), options, wanted, result);
    return result;
  }
  const Stopwatch begin;
  result.cells = decoder.decode(candidates, hooks).cells;
  result.seconds = begin.seconds();
  result.cache = decoder.cache_use();
  if (!context.device->is_cpu()) profile(decoder, context, candidates, result);
  return result;
}

nlohmann::ordered_json figures(const DecodeBench& options, const TransformerConfig& config, const Measured& m,
                               const cpu::MachinePeak& peak, const Precision& precision, DeviceKind device) {
  const Estimate whole = estimate(config, {});
  const double share = static_cast<double>(m.cells) / config.cells(), count = options.candidates;
  const double flops = whole.image_flops * share * count;
  const auto bytes_of = [](DType type) { return static_cast<double>(size_of(type)); };
  const DType prefix = prefix_type(cache_type_from_name(options.kv_dtype), precision.activations, device);
  const double prefix_row = 2.0 * config.width * bytes_of(prefix);
  const double weights = bytes_of(precision.parameters) * static_cast<double>(streamed_weights(config));
  // Of the prefix one read a step for all candidates counts: that is what the floor allows.
  const double bytes = weights * m.cells + prefix_row * static_cast<double>(m.cache.prefix_rows_read) +
                       static_cast<double>(m.cache.private_bytes_read);
  const double gflops = flops / m.seconds * 1e-9, gb_s = bytes / m.seconds * 1e-9;
  return {{"candidates", options.candidates},
          {"cells", m.cells},
          {"prefill_seconds", m.prefill_seconds},
          {"seconds", m.seconds},
          {"seconds_per_image", m.seconds / count / share},
          {"tokens_per_second", m.cells * count / m.seconds},
          {"gflops", gflops},
          {"gb_s", gb_s},
          {"cache_bytes_per_candidate", m.cache.bytes / static_cast<size_t>(options.candidates)},
          {"full_cache_bytes_per_candidate", whole.full_cache},
          {"peak_gflops", peak.gflops},
          {"peak_read_gb_s", peak.read_gb_s},
          {"share_of_peak_gflops", gflops / peak.gflops},
          {"share_of_peak_read", gb_s / peak.read_gb_s},
          {"share_of_peak", std::max(gflops / peak.gflops, gb_s / peak.read_gb_s)}};
}

// Milliseconds of a step by op; what is missing to the step's own time are gaps or overlaps.
nlohmann::ordered_json part_rows(const Measured& measured) {
  nlohmann::ordered_json rows = nlohmann::json::array();
  for (const PartTime& part : measured.parts) {
    const double cells = measured.profiled_cells;
    rows.push_back({{"part", part.name},
                    {"calls_per_cell", static_cast<double>(part.calls) / cells},
                    {"milliseconds_per_cell", part.seconds * 1e3 / cells}});
  }
  return rows;
}

size_t weight_bytes(Transformer& model) {
  size_t bytes = 0;
  model.visit([&](const std::string&, Tensor& parameter) { bytes += parameter.bytes(); });
  return bytes;
}

int bench_decode(DecodeBench options, const CommonOptions& common) {
  const TransformerConfig config = options.shape.config();
  const auto device = open_device(common);
  const cpu::MachinePeak peak = peak_of(*device);
  const PrecisionName precision =
      options.precision == "auto" ? usual_precision(*device) : precision_from_name(options.precision);
  check_precision(precision, *device);
  options.kv_dtype = kv_dtype_of(options.kv_dtype, precision, *device);
  const Precision types = precisions_of(precision, *device).transformer;
  Transformer model(*device, config, types);
  randomise(model, types);
  const size_t bytes = weight_bytes(model);
  model.prepare();
  Context context(*device);
  const cpu::LoadMeter load;
  const Measured measured = measure(options, context, model);
  auto document = figures(options, config, measured, peak, types, device->kind());
  document["precision"] = name_of(precision);
  document["kv_dtype"] = options.kv_dtype;
  document["weight_bytes"] = bytes;
  document["device_peak_bytes"] = device->memory_use().peak;
  document["others_cores"] = load.others_cores();
  if (measured.profiled_cells > 0) document["parts"] = part_rows(measured);
  if (common.json) {
    fmt::print("{}\n", json_text(document));
    return 0;
  }
  for (const auto& [name, value] : document.items()) {
    fmt::print("{:<32} {}\n", name,
               value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : value.dump());
  }
  return 0;
}

}  // namespace

Command bench_decode_command() {
  return {"bench decode", "Measure cached decoding with random weights",
          "dalle1 bench decode --layers 12 --width 512 --heads 8 --text 128 --grid 32 --vocab 8192 "
          "--candidates 64",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<DecodeBench>();
            add_bench_shape(app, options->shape);
            app.add_option("--candidates", options->candidates, "Pictures decoded together")
                ->check(CLI::Range(1, 4096))
                ->capture_default_str();
            app.add_option("--prompts", options->prompts,
                           "Requests that share steps, on a CPU, each with its part of the candidates")
                ->check(CLI::Range(1, 64))
                ->capture_default_str();
            app.add_option("--cells", options->cells, "Stop after so many cells of the grid; 0: all")
                ->check(CLI::Range(0, 1 << 14))
                ->capture_default_str();
            app.add_option("--kv-dtype", options->kv_dtype,
                           "Cached keys and values: auto, f32, bf16, on a GPU fp8, mixed")
                ->capture_default_str();
            app.add_option("--precision", options->precision, "auto, f32, bf16 on a GPU, int8 on a CPU")
                ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
                ->capture_default_str();
            return [options, &common] { return bench_decode(*options, common); };
          }};
}

}  // namespace dalle1::tools
