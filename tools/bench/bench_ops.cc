// dalle1 bench ops: how near the kernels come to what this machine can do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/cpu/peak.h"
#include "core/ops/attention.h"
#include "core/ops/conv2d.h"
#include "core/ops/layout.h"
#include "core/ops/linear.h"
#include "core/ops/random.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_blas.h"
#include "tools/bench/bench_timing.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Settings {
  std::vector<std::string> only;
  double seconds = 0.2;
};

/// Collects rows and prints each as it is measured.
class Report {
 public:
  Report(Device& device, bool as_json)
      : device_(device), as_json_(as_json), peak_(cpu::measure_peak(device.threads())) {
    if (as_json_) return;
    fmt::print("{}\npeak of {} threads, measured now: {:.0f} GFLOP/s, {:.1f} GB/s read\n\n",
               device.describe(), device.threads(), peak_.gflops, peak_.read_gb_s);
    fmt::print("{:<10} {:<30} {:>10} {:>9} {:>8} {:>7}\n", "op", "shape", "best us", "GFLOP/s", "GB/s",
               "of peak");
  }

  /// `flops` and `bytes` of one run; `notes` are further figures, name and value.
  void add(const std::string& op, const std::string& shape, const Timing& timing, double flops, double bytes,
           const std::vector<std::pair<std::string, double>>& notes = {}) {
    const double gflops = flops / timing.best * 1e-9, gb_s = bytes / timing.best * 1e-9;
    const double share = std::max(gflops / peak_.gflops, gb_s / peak_.read_gb_s);
    Json row = {
        {"op", op},         {"shape", shape}, {"seconds", timing.best}, {"median_seconds", timing.median},
        {"gflops", gflops}, {"gb_s", gb_s},   {"share_of_peak", share}};
    for (const auto& [name, value] : notes) row[name] = value;
    rows_.push_back(row);
    if (as_json_) return;
    std::string line = fmt::format("{:<10} {:<30} {:>10.1f} {:>9.1f} {:>8.1f} {:>6.0f}%", op, shape,
                                   timing.best * 1e6, gflops, gb_s, share * 100);
    for (const auto& [name, value] : notes) line += fmt::format("  {} {:.2f}", name, value);
    fmt::print("{}\n", line);
  }

  void finish() const {
    const double others = load_.others_cores();
    if (as_json_) {
      const Json document = {{"device", device_.describe()}, {"threads", device_.threads()},
                             {"peak_gflops", peak_.gflops},  {"peak_read_gb_s", peak_.read_gb_s},
                             {"others_cores", others},       {"rows", rows_}};
      fmt::print("{}\n", json_text(document));
    } else {
      fmt::print("\nother processes used {:.1f} cores meanwhile\n", others);
    }
  }

 private:
  Device& device_;
  bool as_json_;
  cpu::LoadMeter load_;
  cpu::MachinePeak peak_;
  Json rows_ = Json::array();
};

Tensor random_tensor(Device& device, const Shape& shape) {
  return ops::uniform(device, shape, -1, 1, 1, Stream::test);
}

Int8Weights random_int8(Device& device, int64_t columns, int64_t depth) {
  Tensor q = Tensor::empty(device, {columns, depth}, DType::i8);
  for (int64_t i = 0; i < q.numel(); ++i) q.data<int8_t>()[i] = static_cast<int8_t>(i * 31 % 255 - 127);
  return ops::pack_int8(q, Tensor::full(device, {columns}, 1.0f));
}

/// Seconds of f32 over those of int8, for products of the same shape.
double int8_gain(Device& device, double seconds, const Tensor& x, int64_t columns, double f32_seconds) {
  constexpr double rotated_bytes = 32 << 20;
  std::vector<Int8Weights> weights;
  for (double bytes = 0; bytes < rotated_bytes; bytes += static_cast<double>(columns * x.dim(1)))
    weights.push_back(random_int8(device, columns, x.dim(1)));
  Context context(device);
  size_t next = 0;
  const Timing narrow =
      time_work(seconds, [&] { ops::linear_fused(context, x, weights[next++ % weights.size()], {}); });
  return f32_seconds / narrow.best;
}

/// Inference's product with weights that are not in any cache, as in decoding.
void bench_linear(Device& device, double seconds, Report& report) {
  constexpr double rotated_bytes = 128 << 20;
  const BlasProduct blas = openblas_product(device.threads());
  for (const auto& [depth, columns] : {std::pair<int64_t, int64_t>{512, 512}, {512, 2048}, {1024, 4096}}) {
    const double weight_bytes = 4.0 * static_cast<double>(depth * columns);
    std::vector<Tensor> weights;
    for (double bytes = 0; bytes < rotated_bytes; bytes += weight_bytes)
      weights.push_back(random_tensor(device, {columns, depth}));
    for (const int64_t rows : {1, 4, 16, 64, 128, 512}) {
      const Tensor x = random_tensor(device, {rows, depth});
      const Tensor y = Tensor::empty(device, {rows, columns});
      Context context(device);
      size_t next = 0;
      const auto rotate = [&]() -> const Tensor& { return weights[next++ % weights.size()]; };
      for (const Tensor& w : weights) ops::linear(context, x, w);  // packs
      const Timing ours = time_work(seconds, [&] { ops::linear(context, x, rotate()); });
      const Timing onednn = time_work(seconds, [&] { ops::matmul(context, x, rotate(), false, true); });
      std::vector<std::pair<std::string, double>> notes = {{"times_onednn", onednn.best / ours.best}};
      notes.emplace_back("int8_times", int8_gain(device, seconds, x, columns, ours.best));
      if (blas) {
        const Timing other = time_work(
            seconds, [&] { blas(rows, columns, depth, x.floats(), rotate().floats(), y.floats()); });
        notes.emplace_back("times_openblas", other.best / ours.best);
      }
      report.add("linear", fmt::format("K {} N {} M {}", depth, columns, rows), ours,
                 2.0 * static_cast<double>(rows * depth * columns), weight_bytes, notes);
    }
  }
}

/// The three products of a training step of one linear layer.
void bench_matmul(Device& device, double seconds, Report& report) {
  const int64_t m = 2560, k = 512, n = 2048;
  const Tensor x = random_tensor(device, {m, k}), w = random_tensor(device, {n, k}),
               dy = random_tensor(device, {m, n});
  const double flops = 2.0 * static_cast<double>(m * n * k),
               bytes = 4.0 * static_cast<double>(m * n + m * k + n * k);
  const auto shape = fmt::format("[{}, {}] x [{}, {}]", m, k, k, n);
  Context context(device);
  report.add("y = x w^T", shape, time_work(seconds, [&] { ops::matmul(context, x, w, false, true); }), flops,
             bytes);
  report.add("dx = dy w", shape, time_work(seconds, [&] { ops::matmul(context, dy, w); }), flops, bytes);
  report.add("dw = dy^T x", shape, time_work(seconds, [&] { ops::matmul(context, dy, x, true); }), flops,
             bytes);
}

void bench_conv(Device& device, double seconds, Report& report) {
  const int64_t batch = 8, channels = 256, side = 32;
  Context context(device);
  const Tensor x = ops::to_fastest_layout(context, random_tensor(device, {batch, channels, side, side}));
  const Tensor w = random_tensor(device, {channels, channels, 3, 3});
  const auto options = ops::Conv2dOptions::same(3);
  const Timing timing = time_work(seconds, [&] { ops::conv2d(context, x, w, {}, options); });
  report.add("conv 3x3", fmt::format("{} x {} x {} x {}", batch, channels, side, side), timing,
             2.0 * 9 * static_cast<double>(batch * side * side * channels * channels),
             4.0 * static_cast<double>(2 * x.numel() + w.numel()));
}

/// Forward and backward of each pattern beside causal dense; the work counted is that of the pattern's ones.
void bench_attention(Device& device, double seconds, Report& report) {
  AttentionPattern dense;
  dense.text = 256;
  dense.grid = 32;
  dense.kernel = 11;
  std::vector<AttentionPattern> patterns(4, dense);
  patterns[1].kind = PatternKind::row;
  patterns[2].kind = PatternKind::column;
  patterns[3].kind = PatternKind::conv;
  const int64_t batch = 2, length = dense.length(), heads = 8, size = 64;
  const Shape shape = {batch, length, heads, size};
  const Tensor q = random_tensor(device, shape), k = random_tensor(device, shape),
               v = random_tensor(device, shape);
  const Tensor dy = random_tensor(device, shape);
  double of_dense = 0;
  for (const AttentionPattern& pattern : patterns) {
    const Timing timing = time_work(seconds, [&] { attention_pass(q, k, v, dy, pattern); });
    if (of_dense == 0) of_dense = timing.best;
    const double products = 7;  // two forward, five backward
    report.add("attention", name_of(pattern) + ", forward + backward", timing,
               products * 2 * size * static_cast<double>(batch * heads * count_ones(pattern)),
               4.0 * 12 * static_cast<double>(q.numel()), {{"of_dense", timing.best / of_dense}});
  }
}

/// A decoding step of one row layer: 128 shared keys, 33 of each candidate's own, stores rotated as layers
/// do.
void bench_cached_attention(Device& device, double seconds, Report& report) {
  const int64_t heads = 8, size = 64, prefix = 128, slots = 33;
  const Tensor prefix_keys = random_tensor(device, {heads, prefix, size});
  const Tensor prefix_values = random_tensor(device, {heads, prefix, size});
  const KeyRange range{0, prefix};
  std::vector<int32_t> visible(slots);
  for (int32_t i = 0; i < slots; ++i) visible[i] = (i + 7) % static_cast<int32_t>(slots);
  for (const int64_t candidates : {1, 64}) {
    std::vector<std::pair<Tensor, Tensor>> layers;
    for (int i = 0; i < 12; ++i)
      layers.emplace_back(random_tensor(device, {candidates, heads, slots, size}),
                          random_tensor(device, {candidates, heads, slots, size}));
    const Tensor qkv = random_tensor(device, {candidates, 3 * heads * size});
    size_t next = 0;
    const Timing timing = time_work(seconds, [&] {
      const auto& [keys, values] = layers[next++ % layers.size()];
      CachedAttention cache;
      cache.prefix_keys = &prefix_keys;
      cache.prefix_values = &prefix_values;
      cache.prefix = {&range, 1};
      cache.keys = &keys;
      cache.values = &values;
      cache.slots = visible;
      ops::cached_attention(qkv, heads, {&cache, 1}, visible.back());
    });
    report.add("cached", fmt::format("N {}, {} + {} keys", candidates, prefix, slots), timing,
               4.0 * static_cast<double>(candidates * heads * size * (prefix + slots)),
               8.0 * static_cast<double>(heads * size * (prefix + candidates * slots)));
  }
}

int bench_ops(const Settings& settings, const CommonOptions& common) {
  struct Section {
    const char* name;
    void (*run)(Device&, double, Report&);
  };
  constexpr Section sections[] = {{"linear", bench_linear},
                                  {"matmul", bench_matmul},
                                  {"conv", bench_conv},
                                  {"attention", bench_attention},
                                  {"cached", bench_cached_attention}};
  for (const std::string& wanted : settings.only)
    check(std::any_of(std::begin(sections), std::end(sections),
                      [&](const Section& s) { return wanted == s.name; }),
          ErrorKind::usage, "bench ops: no section '{}'; there are linear, matmul, conv, attention, cached",
          wanted);
  const auto device = open_device(common);
  check(device->is_cpu(), ErrorKind::usage, "bench ops measures the CPU; give --device cpu");
  Report report(*device, common.json);
  for (const Section& section : sections)
    if (settings.only.empty() || std::count(settings.only.begin(), settings.only.end(), section.name))
      section.run(*device, settings.seconds, report);
  report.finish();
  return 0;
}

}  // namespace

Command bench_ops_command() {
  return {"bench ops", "Speed of the kernels beside this machine's peak", "dalle1 bench ops --threads 2",
          [](CLI::App& app, CommonOptions& common) {
            auto settings = std::make_shared<Settings>();
            add_list_option(app, "--only", settings->only,
                            "Sections: linear, matmul, conv, attention, cached");
            app.add_option("--seconds", settings->seconds, "Time for each figure")
                ->check(CLI::Range(0.01, 60.0))
                ->capture_default_str();
            return [settings, &common] { return bench_ops(*settings, common); };
          }};
}

}  // namespace dalle1::tools
