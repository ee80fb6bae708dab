// Products in eight bits: exactly those of a plain loop over integers, by every kernel that this machine
// runs.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/cpu/int8_linear.h"
#include "core/cpu/isa.h"
#include "core/kernels/kernels.h"
#include "core/nn/linear.h"

namespace dalle1 {
namespace cpu {
extern const Int8LinearKernels int8_linear_stand_in, int8_amx_stand_in;
}
namespace {

struct Problem {
  int64_t rows, depth, columns;
  std::vector<float> x, scale, bias;
  std::vector<int8_t> w;

  Problem(int64_t rows, int64_t depth, int64_t columns) : rows(rows), depth(depth), columns(columns) {
    std::mt19937 engine(7);
    std::normal_distribution<float> normal;
    std::uniform_int_distribution<int> eight_bits(-127, 127);
    for (int64_t i = 0; i < rows * depth; ++i) x.push_back(normal(engine));
    for (int64_t i = 0; i < columns * depth; ++i) w.push_back(static_cast<int8_t>(eight_bits(engine)));
    for (int64_t i = 0; i < columns; ++i) scale.push_back(std::fabs(normal(engine)) / 127);
    for (int64_t i = 0; i < columns; ++i) bias.push_back(normal(engine));
  }

  /// The definition: one rounding of each activation, one of each step of the result.
  std::vector<float> reference() const {
    std::vector<float> y;
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x.data() + r * depth;
      float largest = 0;
      for (int64_t k = 0; k < depth; ++k) largest = std::max(largest, std::fabs(row[k]));
      const float inverse = 127.0f / largest, step = largest / 127.0f;
      for (int64_t c = 0; c < columns; ++c) {
        int64_t sum = 0;
        for (int64_t k = 0; k < depth; ++k)
          sum += static_cast<int64_t>(std::nearbyint(row[k] * inverse)) * w[c * depth + k];
        REQUIRE(std::abs(sum) < std::numeric_limits<int32_t>::max());
        y.push_back(static_cast<float>(sum) * step * scale[c] + bias[c]);
      }
    }
    return y;
  }

  Tensor weights_on(Device& device) const {
    Tensor q = Tensor::empty(device, {columns, depth}, DType::i8);
    device.copy_from_host(q.raw(), w.data(), w.size());
    return q;
  }

  std::vector<float> run(int threads, int64_t count) const {
    const auto device = make_cpu_device(threads, true);
    const Int8Weights weights =
        device->kernels().pack_int8(weights_on(*device), Tensor::from(*device, {columns}, scale));
    const Tensor bs = Tensor::from(*device, {columns}, bias);
    Tensor y = Tensor::empty(*device, {count, columns});
    device->kernels().int8_linear(Tensor::from(*device, {count, depth}, std::span(x).first(count * depth)),
                                  weights, &bs, y);
    return y.to_floats();
  }

  std::vector<float> run(const cpu::Int8LinearKernels& kernels) const {
    const int64_t panels = (columns + kernels.width - 1) / kernels.width, steps = kernels.steps(depth);
    const int64_t panel_size = steps * kernels.width * kernels.depth_step();
    std::vector<int8_t> packed(panels * panel_size);
    std::vector<int32_t> offsets(panels * kernels.width), rounded(rows * steps);
    for (int64_t panel = 0; panel < panels; ++panel)
      cpu::pack_int8_panel(kernels, w.data(), columns, depth, panel, packed.data() + panel * panel_size,
                           offsets.data() + panel * kernels.width);
    std::vector<float> steps_of_rows, y(rows * columns);
    auto* bytes = reinterpret_cast<char*>(rounded.data());
    for (int64_t r = 0; r < rows; ++r)
      steps_of_rows.push_back(
          cpu::round_int8_row(kernels.activations, x.data() + r * depth, depth, bytes + r * steps * 4));
    kernels.multiply({bytes, steps_of_rows.data(), rows, steps, packed.data(), offsets.data(), panels,
                      scale.data(), bias.data(), y.data(), columns, columns});
    return y;
  }
};

struct Named {
  std::string name;
  const cpu::Int8LinearKernels* kernels;
  bool here;
};

std::vector<Named> all_kernels() {
  using cpu::Isa;
  const bool wide = cpu::supports(Isa::avx512), vnni = cpu::supports(Isa::vnni);
  return {{"avx2", &cpu::int8_linear_avx2, true},
          {"stand-in for vpdpbusd", &cpu::int8_linear_stand_in, true},
          {"avx512", &cpu::int8_linear_avx512, wide},
          {"avx512 vnni", &cpu::int8_linear_vnni, wide && vnni},
          {"stand-in for amx", &cpu::int8_amx_stand_in, true},
          {"amx", &cpu::int8_linear_amx, cpu::supports(Isa::amx)},
          {"avx vnni", &cpu::int8_linear_avxvnni, cpu::has_avx_vnni()}};
}

/// One row through a layer of weights 1: its rounded values' sum times its step.
float rounded_sum(std::vector<float> row) {
  const auto device = make_cpu_device(1);
  const auto depth = static_cast<int64_t>(row.size());
  Tensor q = Tensor::empty(*device, {1, depth}, DType::i8);
  std::memset(q.raw(), 1, depth);
  const Int8Weights weights = device->kernels().pack_int8(q, Tensor::full(*device, {1}, 1.0f));
  Tensor y = Tensor::empty(*device, {1, 1});
  device->kernels().int8_linear(Tensor::from(*device, {1, depth}, row), weights, nullptr, y);
  return y.item();
}

}  // namespace

TEST_CASE("products in int8 equal a plain loop over integers, bit for bit, by every kernel") {
  for (const Named& each : all_kernels()) {
    CAPTURE(each.name);
    if (!each.here) {
      MESSAGE("skipped: this processor has no " << each.name);
      continue;
    }
    for (const auto& [rows, depth, columns] : {std::tuple{1, 1, 1},
                                               {3, 7, 5},
                                               {13, 64, 33},
                                               {25, 101, 47},
                                               {1, 513, 130},
                                               {6, 192, 64},
                                               {16, 64, 32},
                                               {33, 130, 70},
                                               {85, 192, 96},
                                               {2, 16384, 3}}) {
      CAPTURE(depth);
      const Problem p(rows, depth, columns);
      CHECK(p.run(*each.kernels) == p.reference());
    }
  }
}

TEST_CASE("the largest sums that int8 can have do not overflow") {
  for (const Named& each : all_kernels()) {
    if (!each.here) continue;
    CAPTURE(each.name);
    Problem p(1, 16384, 2);
    std::fill(p.x.begin(), p.x.end(), 1.0f);
    std::fill(p.w.begin(), p.w.begin() + 16384, int8_t{127});
    std::fill(p.w.begin() + 16384, p.w.end(), int8_t{-127});
    CHECK(p.run(*each.kernels) == p.reference());
  }
}

TEST_CASE("a row in int8 has the same bits among 1 to 512 rows and on 1 or 2 threads") {
  const Problem p(512, 200, 150);
  const auto all = p.run(1, 512);
  CHECK(all == p.reference());
  for (int64_t count : {1, 2, 3, 7, 64, 512})
    for (int threads : {1, 2}) {
      CAPTURE(count);
      const auto y = p.run(threads, count);
      CHECK(std::memcmp(y.data(), all.data(), y.size() * sizeof(float)) == 0);
    }
}

TEST_CASE("rows that eight bits hardly hold have defined results") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  CHECK(rounded_sum(std::vector<float>(19, 0.0f)) == 0);
  CHECK(rounded_sum(std::vector<float>(19, -0.0f)) == 0);
  CHECK(rounded_sum(std::vector<float>(19, 1e-40f)) == 0);         // denormals are nothing
  CHECK(rounded_sum({1e-36f, 1e-36f, 0, 0, 0, 0, 0, 0, 0}) == 0);  // as is what is hardly more
  CHECK(rounded_sum({2e-36f, 0, 0, 0, 0, 0, 0, 0, 0}) == doctest::Approx(2e-36));
  CHECK(rounded_sum({1e30f, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}) == doctest::Approx(1e30));
  CHECK(rounded_sum({3e38f, -3e38f, 0}) == 0);
  CHECK(rounded_sum({1e4f, 1, 1, 1, -1e4f, 1, 1, 1, 1}) == 0);            // outliers drown the rest
  CHECK(rounded_sum({127, 0.5f, 1.5f, 2.5f, 0, 0, 0, 0, -0.5f}) == 131);  // halves to even: 0, 2, 2, 0
  for (const float bad : {infinity, -infinity, nan}) {
    for (const size_t place : {0u, 8u, 18u}) {
      std::vector<float> row(19, 1.0f);
      row[place] = bad;
      CHECK(std::isnan(rounded_sum(row)));
    }
  }
}

TEST_CASE("a layer in int8 lets go of its plain weights and is near the one in f32") {
  const auto device = make_cpu_device(2);
  const Problem p(9, 96, 40);
  std::vector<float> plain;
  for (int64_t i = 0; i < p.columns * p.depth; ++i) plain.push_back(p.scale[i / p.depth] * p.w[i]);
  const nn::Linear wide{Tensor::from(*device, {p.columns, p.depth}, plain),
                        Tensor::from(*device, {p.columns}, p.bias),
                        {},
                        DType::f32,
                        {}};
  auto narrow = nn::Linear::zeros(*device, p.columns, p.depth, DType::i8);
  device->copy_from_host(narrow.weight.raw(), p.w.data(), p.w.size());
  device->copy_from_host(narrow.scale.raw(), p.scale.data(), p.scale.size() * sizeof(float));
  device->copy_from_host(narrow.bias.raw(), p.bias.data(), p.bias.size() * sizeof(float));
  narrow.prepare();
  CHECK_FALSE(narrow.weight.defined());
  Context context(*device);
  const Tensor x = Tensor::from(*device, {3, 3, p.depth}, p.x);
  const Tensor residual = Tensor::full(*device, {3, 3, p.columns}, 2.0f);
  const auto a = wide.forward(context, x, {Unary::relu, &residual}).to_floats();
  const auto b = narrow.forward(context, x, {Unary::relu, &residual}).to_floats();
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += (a[i] - 2) * (a[i] - 2);
  }
  CHECK(std::sqrt(difference / size) < 0.01);
  CHECK(difference > 0);
}

}  // namespace dalle1
