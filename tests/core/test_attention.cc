// Tiled and cached attention against plain attention in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/attention/attention_plan.h"
#include "core/cpu/cached_attention_kernels.h"
#include "core/kernels/kernels.h"
#include "tests/core/attention_head.h"
#include "tests/support/random_values.h"

namespace dalle1 {
namespace {

struct Sizes {
  int64_t batch, queries, keys, heads, size;
};

/// Attention and its gradients by definition, with a mask [queries, keys].
struct Reference {
  std::vector<double> y, logsumexp, dq, dk, dv;

  Reference(const Sizes& s, const std::vector<float>& q, const std::vector<float>& k,
            const std::vector<float>& v, const std::vector<float>& dy, const std::vector<uint8_t>& mask,
            double scale)
      : y(q.size()), logsumexp(s.batch * s.heads * s.queries), dq(q.size()), dk(k.size()), dv(v.size()) {
    std::vector<double> p(s.keys), dp(s.keys);
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t h = 0; h < s.heads; ++h)
        for (int64_t i = 0; i < s.queries; ++i) {
          const int64_t at_q = ((b * s.queries + i) * s.heads + h) * s.size;
          const auto at_k = [&](int64_t j) { return ((b * s.keys + j) * s.heads + h) * s.size; };
          double total = 0, delta = 0;
          for (int64_t j = 0; j < s.keys; ++j) {
            double dot = 0;
            for (int64_t d = 0; d < s.size; ++d) dot += double(q[at_q + d]) * k[at_k(j) + d];
            p[j] = mask[i * s.keys + j] ? std::exp(scale * dot) : 0.0;
            total += p[j];
          }
          logsumexp[(b * s.heads + h) * s.queries + i] = std::log(total);
          for (int64_t j = 0; j < s.keys; ++j) {
            p[j] /= total;
            dp[j] = 0;
            for (int64_t d = 0; d < s.size; ++d) {
              y[at_q + d] += p[j] * v[at_k(j) + d];
              dp[j] += double(dy[at_q + d]) * v[at_k(j) + d];
              dv[at_k(j) + d] += p[j] * dy[at_q + d];
            }
            delta += p[j] * dp[j];
          }
          for (int64_t j = 0; j < s.keys; ++j) {
            const double slope = scale * p[j] * (dp[j] - delta);
            for (int64_t d = 0; d < s.size; ++d) {
              dq[at_q + d] += slope * k[at_k(j) + d];
              dk[at_k(j) + d] += slope * q[at_q + d];
            }
          }
        }
  }
};

/// |a - b| / |b|
double distance(const Tensor& a, const std::vector<double>& b) {
  const auto values = a.to_floats();
  REQUIRE(values.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (values[i] - b[i]) * (values[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

struct Results {
  Tensor y, logsumexp;
  Tensor dq, dk, dv;
};

Results run(Device& device, const Sizes& s, const AttentionPattern& pattern, float scale) {
  const Shape queries = {s.batch, s.queries, s.heads, s.size}, keys = {s.batch, s.keys, s.heads, s.size};
  const Tensor q = Tensor::from(device, queries, random_values(queries.numel(), 1));
  const Tensor k = Tensor::from(device, keys, random_values(keys.numel(), 2));
  const Tensor v = Tensor::from(device, keys, random_values(keys.numel(), 3));
  const Tensor dy = Tensor::from(device, queries, random_values(queries.numel(), 4));
  Results r;
  r.y = Tensor::empty(device, queries);
  r.logsumexp = Tensor::empty(device, {s.batch, s.heads, s.queries});
  r.dq = Tensor::empty(device, queries);
  r.dk = Tensor::empty(device, keys);
  r.dv = Tensor::empty(device, keys);
  device.kernels().attention({q, k, v, {pattern, scale}, r.y, r.logsumexp});
  device.kernels().attention_backward({q, k, v, r.y, r.logsumexp, dy, {pattern, scale}, r.dq, r.dk, r.dv});
  return r;
}

void compare(const Sizes& s, const AttentionPattern& pattern) {
  CAPTURE(name_of(pattern));
  CAPTURE(s.queries);
  CAPTURE(s.size);
  std::vector<uint8_t> mask(s.queries * s.keys, 1);
  if (pattern.kind != PatternKind::full)
    for (int32_t i = 0; i < s.queries; ++i)
      for (int32_t j = 0; j < s.keys; ++j) mask[i * s.keys + j] = pattern.sees(i, j);
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.size));
  const int64_t rows = s.batch * s.heads * s.size;
  const Reference expected(s, random_values(rows * s.queries, 1), random_values(rows * s.keys, 2),
                           random_values(rows * s.keys, 3), random_values(rows * s.queries, 4), mask, scale);
  const auto device = make_cpu_device(2, true);
  const Results r = run(*device, s, pattern, scale);
  CHECK(distance(r.y, expected.y) < 1e-5);
  CHECK(distance(r.logsumexp, expected.logsumexp) < 1e-5);
  CHECK(distance(r.dq, expected.dq) < 1e-5);
  CHECK(distance(r.dk, expected.dk) < 1e-5);
  CHECK(distance(r.dv, expected.dv) < 1e-5);
}

AttentionPattern grid_pattern(PatternKind kind, int32_t text, int32_t grid, int32_t kernel = 3,
                              ConvWrap wrap = ConvWrap::raster) {
  AttentionPattern pattern;
  pattern.kind = kind;
  pattern.text = text;
  pattern.grid = grid;
  pattern.kernel = kernel;
  pattern.wrap = wrap;
  return pattern;
}

/// Causal, with a random third of the rest hidden.
AttentionPattern random_pattern(int32_t length) {
  auto table = std::make_shared<PatternBits>();
  table->length = length;
  table->bits.resize(length * length);
  std::mt19937 engine(5);
  for (int32_t i = 0; i < length; ++i)
    for (int32_t j = 0; j <= i; ++j) table->bits[i * length + j] = i == j || engine() % 3 != 0;
  AttentionPattern pattern;
  pattern.kind = PatternKind::arbitrary;
  pattern.text = length;
  pattern.table = table;
  return pattern;
}

std::vector<AttentionPattern> patterns(int32_t text, int32_t grid) {
  return {grid_pattern(PatternKind::dense, text, grid),
          grid_pattern(PatternKind::row, text, grid),
          grid_pattern(PatternKind::column, text, grid),
          grid_pattern(PatternKind::conv, text, grid, 5, ConvWrap::none),
          grid_pattern(PatternKind::conv, text, grid, 5, ConvWrap::raster),
          grid_pattern(PatternKind::conv, text, grid, 3, ConvWrap::rudalle_v2),
          random_pattern(text + grid * grid)};
}

}  // namespace

TEST_CASE("tiled attention and its gradients equal the definition for every pattern") {
  for (const AttentionPattern& pattern : patterns(37, 9)) compare({2, 118, 118, 3, 16}, pattern);
  for (const AttentionPattern& pattern : patterns(64, 16)) compare({1, 320, 320, 1, 64}, pattern);
  for (const AttentionPattern& pattern : patterns(1, 2)) compare({1, 5, 5, 2, 7}, pattern);
}

TEST_CASE("tiled attention takes the first positions of a pattern") {
  for (const AttentionPattern& pattern : patterns(37, 9)) compare({1, 71, 71, 2, 20}, pattern);
  compare({2, 2, 2, 2, 3}, AttentionPattern::causal(40));
}

TEST_CASE("full attention takes any number of queries and keys") {
  compare({2, 1, 50, 3, 32}, AttentionPattern::full(50));
  compare({1, 50, 50, 2, 24}, AttentionPattern::full(50));
  compare({1, 33, 64, 2, 64}, AttentionPattern::full(64));
  compare({1, 400, 300, 1, 8}, AttentionPattern::full(300));
}

TEST_CASE("tiled attention gives the same bits for any number of threads") {
  const Sizes s = {1, 118, 118, 1, 16};
  const AttentionPattern pattern = grid_pattern(PatternKind::row, 37, 9);
  const auto one = make_cpu_device(1), three = make_cpu_device(3);
  const Results a = run(*one, s, pattern, 0.25f), b = run(*three, s, pattern, 0.25f);
  CHECK(a.y.to_floats() == b.y.to_floats());
  CHECK(a.dk.to_floats() == b.dk.to_floats());
}

TEST_CASE("tiled attention has the same bits on both instruction sets") {
  if (!cpu::supports(cpu::Isa::avx512)) {
    MESSAGE("skipped: this processor has no AVX-512");
    return;
  }
  constexpr int32_t length = 118, size = 20;
  const AttentionPlan plan = make_attention_plan(grid_pattern(PatternKind::row, 37, 9), length, length);
  CHECK(attend_head(cpu::attention_avx2, plan, length, size) ==
        attend_head(cpu::attention_avx512, plan, length, size));
}

TEST_CASE("tiled attention survives scores of any size") {
  const Sizes s = {1, 70, 70, 1, 16};
  const auto device = make_cpu_device(1, true);
  const Results r = run(*device, s, AttentionPattern::causal(70), 1000.0f);
  for (float value : r.y.to_floats()) CHECK(std::isfinite(value));
  for (float value : r.dq.to_floats()) CHECK(std::isfinite(value));
}

namespace {

/// One decoding step: candidate n's private key at slot s belongs to position text + order of s.
struct CachedCase {
  int64_t candidates, heads, prefix, slots, size;
  std::vector<KeyRange> ranges;
  std::vector<int32_t> visible;
};

struct CachedInputs {
  std::vector<float> q, prefix_keys, prefix_values, keys, values;

  explicit CachedInputs(const CachedCase& c)
      : q(random_values(c.candidates * c.heads * c.size, 1)),
        prefix_keys(random_values(c.heads * c.prefix * c.size, 2)),
        prefix_values(random_values(c.heads * c.prefix * c.size, 3)),
        keys(random_values(c.candidates * c.heads * c.slots * c.size, 4)),
        values(random_values(c.candidates * c.heads * c.slots * c.size, 5)) {
    // What is not visible must not be read: NaN would spread.
    for (int64_t p = 0; p < c.prefix; ++p) {
      const bool seen = std::any_of(c.ranges.begin(), c.ranges.end(),
                                    [&](const KeyRange& r) { return r.begin <= p && p < r.end; });
      for (int64_t h = 0; !seen && h < c.heads; ++h)
        spoil(prefix_keys, prefix_values, h * c.prefix + p, c.size);
    }
    for (int64_t s = 0; s < c.slots; ++s) {
      const bool seen = std::find(c.visible.begin(), c.visible.end(), s) != c.visible.end();
      for (int64_t row = 0; !seen && row < c.candidates * c.heads; ++row)
        spoil(keys, values, row * c.slots + s, c.size);
    }
  }

 private:
  static void spoil(std::vector<float>& keys, std::vector<float>& values, int64_t row, int64_t size) {
    for (auto* store : {&keys, &values}) std::fill_n(store->begin() + row * size, size, NAN);
  }
};

/// The result for candidates [first, last).
std::vector<float> run_cached(const CachedCase& c, const CachedInputs& in, int64_t first, int64_t last,
                              int threads, DType stored = DType::f32) {
  const auto device = make_cpu_device(threads, true);
  const auto part = [&](const std::vector<float>& all, const Shape& shape) {
    const int64_t row = shape.numel() / shape[0];
    return Tensor::from(*device, shape, std::span(all).subspan(first * row, shape.numel()));
  };
  const int64_t count = last - first;
  const Tensor prefix_keys = Tensor::from(*device, {c.heads, c.prefix, c.size}, in.prefix_keys);
  const Tensor prefix_values = Tensor::from(*device, {c.heads, c.prefix, c.size}, in.prefix_values);
  const Tensor keys = part(in.keys, {count, c.heads, c.slots, c.size}).to(stored);
  const Tensor values = part(in.values, {count, c.heads, c.slots, c.size}).to(stored);
  const Tensor q = part(in.q, {count, c.heads, c.size});
  CachedAttention cache;
  cache.prefix_keys = &prefix_keys;
  cache.prefix_values = &prefix_values;
  cache.prefix = c.ranges;
  cache.keys = &keys;
  cache.values = &values;
  cache.slots = c.visible;
  Tensor y = Tensor::empty(*device, {count, c.heads, c.size});
  device->kernels().cached_attention(q, cache, 0.3f, y);
  return y.to_floats();
}

std::vector<double> cached_reference(const CachedCase& c, const CachedInputs& in) {
  std::vector<double> y(c.candidates * c.heads * c.size);
  for (int64_t n = 0; n < c.candidates; ++n)
    for (int64_t h = 0; h < c.heads; ++h) {
      const int64_t row = n * c.heads + h;
      std::vector<std::pair<const float*, const float*>> seen;
      for (const KeyRange& range : c.ranges)
        for (int64_t p = range.begin; p < range.end; ++p)
          seen.emplace_back(&in.prefix_keys[(h * c.prefix + p) * c.size],
                            &in.prefix_values[(h * c.prefix + p) * c.size]);
      for (int32_t s : c.visible)
        seen.emplace_back(&in.keys[(row * c.slots + s) * c.size], &in.values[(row * c.slots + s) * c.size]);
      double total = 0;
      for (const auto& [key, value] : seen) {
        double score = 0;
        for (int64_t d = 0; d < c.size; ++d) score += double(in.q[row * c.size + d]) * key[d];
        const double weight = std::exp(score * 0.3f);
        total += weight;
        for (int64_t d = 0; d < c.size; ++d) y[row * c.size + d] += weight * value[d];
      }
      for (int64_t d = 0; d < c.size; ++d) y[row * c.size + d] /= total;
    }
  return y;
}

const std::vector<CachedCase> cached_cases = {
    {70, 3, 21, 9, 20, {{0, 5}, {7, 21}}, {4, 8, 0, 1}},
    {5, 2, 130, 33, 64, {{0, 130}}, {32, 0, 1, 2, 3, 4, 5}},
    {1, 2, 8, 4, 7, {{0, 8}}, {}},
    {11, 2, 100, 4, 32, {{0, 17}, {18, 19}, {30, 33}, {47, 100}}, {1, 2}},
    {33, 1, 40, 4, 16, {{5, 9}, {20, 40}}, {0}},
    {33, 1, 4, 6, 16, {}, {5, 3}},
};

}  // namespace

TEST_CASE("cached attention equals the definition and reads visible keys only") {
  for (const CachedCase& c : cached_cases) {
    const CachedInputs in(c);
    const auto y = run_cached(c, in, 0, c.candidates, 2);
    const auto device = make_cpu_device(1);
    CHECK(distance(Tensor::from(*device, {c.candidates, c.heads, c.size}, y), cached_reference(c, in)) <
          1e-5);
  }
}

TEST_CASE(
    "cached attention gives a candidate the same bits alone and among others, on any number of threads") {
  for (const CachedCase& c : cached_cases) {
    const CachedInputs in(c);
    const auto all = run_cached(c, in, 0, c.candidates, 1);
    CHECK(all == run_cached(c, in, 0, c.candidates, 3));
    const int64_t row = c.heads * c.size;
    for (int64_t n = 0; n < c.candidates; ++n) {
      const auto alone = run_cached(c, in, n, n + 1, 1);
      CHECK(std::equal(alone.begin(), alone.end(), all.begin() + n * row));
    }
  }
}

TEST_CASE("cached attention over a store in bf16 gives the bits of the same numbers in f32") {
  for (const CachedCase& c : cached_cases) {
    CachedInputs in(c);
    const auto narrow = run_cached(c, in, 0, c.candidates, 2, DType::bf16);
    if (!c.visible.empty()) CHECK(narrow != run_cached(c, in, 0, c.candidates, 2));
    for (auto* store : {&in.keys, &in.values})
      for (float& x : *store) x = bf16_to_f32(f32_to_bf16(x));
    CHECK(narrow == run_cached(c, in, 0, c.candidates, 1));
  }
}

TEST_CASE("a step of decoding stores the new key and value and attends to them") {
  const auto device = make_cpu_device(2, true);
  for (const DType stored : {DType::f32, DType::bf16})
    for (const auto& [candidates, heads, size] : {std::tuple{33, 3, 20}, std::tuple{2, 2, 64}}) {
      const int64_t slots = 4, width = heads * size;
      const std::vector<int32_t> visible = {1, 3};
      const auto make = [&](const Shape& shape, uint32_t seed) {
        return Tensor::from(*device, shape, random_values(shape.numel(), seed));
      };
      const Tensor qkv = make({candidates, 3 * width}, 1), prefix = make({heads, 5, size}, 2);
      const KeyRange range{1, 5};
      const auto step = [&](auto&& attend) {
        const Tensor keys = make({candidates, heads, slots, size}, 3).to(stored);
        const Tensor values = make({candidates, heads, slots, size}, 4).to(stored);
        CachedAttention cache;
        cache.prefix_keys = cache.prefix_values = &prefix;
        cache.prefix = {&range, 1};
        cache.keys = &keys;
        cache.values = &values;
        cache.slots = visible;
        Tensor y = Tensor::empty(*device, {candidates, heads, size});
        attend(cache, y);
        return std::tuple(y.to_floats(), keys.to_floats(), values.to_floats());
      };
      const auto own = step([&](const CachedAttention& cache, Tensor& y) {
        device->kernels().attend_step({qkv, cache, 3, 0.3f, y});
      });
      CHECK(own == step([&](const CachedAttention& cache, Tensor& y) {
              device->kernels().Kernels::attend_step({qkv, cache, 3, 0.3f, y});  // piece by piece
            }));
      const float expected = qkv.to_floats()[width];  // the first candidate's first key
      CHECK(std::get<1>(own)[3 * size] ==
            (stored == DType::f32 ? expected : bf16_to_f32(f32_to_bf16(expected))));
    }
}

TEST_CASE("cached attention has the same bits on both instruction sets") {
  if (!cpu::supports(cpu::Isa::avx512)) {
    MESSAGE("skipped: this processor has no AVX-512");
    return;
  }
  const CachedCase c = {19, 1, 21, 9, 20, {{0, 21}}, {4, 8, 0, 1}};
  const CachedInputs in(c);
  const cpu::PrefixRange range{0, 21};
  const auto run_isa = [&](cpu::Isa isa) {
    const auto& kernels = cpu::cached_attention_kernels(isa);
    std::vector<float> y(c.candidates * c.size), scratch(kernels.scratch(25, static_cast<int32_t>(c.size)));
    std::vector<float> panels(2 * 16 * c.size);  // of 16 keys, [D, 16]
    for (int64_t p = 0; p < range.end; ++p)
      for (int64_t d = 0; d < c.size; ++d)
        panels[p / 16 * 16 * c.size + d * 16 + p % 16] = in.prefix_keys[p * c.size + d];
    cpu::CachedAttentionBlock block;
    block.count = static_cast<int32_t>(c.candidates);
    block.size = static_cast<int32_t>(c.size);
    block.q_stride = block.y_stride = c.size;
    block.q = in.q.data();
    block.y = y.data();
    block.scale = 0.3f;
    block.prefix_keys = panels.data();
    block.prefix_values = in.prefix_values.data();
    block.prefix = &range;
    block.prefix_ranges = 1;
    block.prefix_rows = range.end;
    block.keys = in.keys.data();
    block.values = in.values.data();
    block.store_stride = c.slots * c.size;
    block.slots = c.visible.data();
    block.slot_count = static_cast<int32_t>(c.visible.size());
    kernels.run(block, scratch.data());
    return y;
  };
  CHECK(run_isa(cpu::Isa::avx2) == run_isa(cpu::Isa::avx512));
}

TEST_CASE("a stored row lands in its slot of every candidate and head") {
  const auto device = make_cpu_device(1);
  Tensor store = Tensor::zeros(*device, {2, 2, 3, 2});
  const Tensor x = Tensor::from(*device, {2, 2, 2}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  device->kernels().cache_store(x, 1, store);
  CHECK(store.to_floats() == std::vector<float>{0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0,  //
                                                0, 0, 5, 6, 0, 0, 0, 0, 7, 8, 0, 0});
}

}  // namespace dalle1
