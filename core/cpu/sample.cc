// One token per candidate. Everything a draw depends on is its own row of logits and its counter, so a
// candidate's token is the same alone or among 512.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"

namespace dalle1 {
namespace {

using cpu::Block;
using cpu::kBlock;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Entry {
  float probability;
  int32_t token;
};

bool row_is_finite(const float* x, int64_t n) {
  Block a, zeros = Block::Zero();
  for (int64_t i = 0; i < n; i += kBlock) {
    cpu::load(x + i, n - i, a);
    zeros += a * 0.0f;  // no number where `a` is infinite or none
  }
  return zeros.sum() == 0.0f;
}

// The k-th largest logit: everything below it is cut, ties with it stay.
float top_k_threshold(const float* logits, int64_t n, int32_t k, std::vector<float>& scratch) {
  scratch.assign(logits, logits + n);
  std::nth_element(scratch.begin(), scratch.begin() + (k - 1), scratch.end(), std::greater<>());
  return scratch[k - 1];
}

// Keeps the most probable tokens until their sum exceeds p; the token that crosses p stays.
void cut_top_p(std::vector<Entry>& entries, float top_p, double total) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  });
  double before = 0;
  size_t kept = 0;
  while (kept < entries.size() && (kept == 0 || before <= top_p * total))
    before += entries[kept++].probability;
  entries.resize(kept);
}

// What draw() returns when nothing is cut, from exponentials of a few units' error: nothing when the drawn
// point lies so near a token's edge that the error could matter.
std::optional<int64_t> draw_quickly(const float* logits, int64_t n, float largest, float temperature,
                                    float uniform, std::vector<float>& scratch) {
  constexpr double doubt = 2e-5;  // of the whole; the sums are exact to a millionth
  scratch.resize(n + kBlock);
  std::vector<double> sums((n + kBlock - 1) / kBlock);
  double total = 0;
  Block a;
  for (size_t i = 0; i < sums.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * kBlock;
    cpu::load(logits + first, n - first, a, -kInfinity);
    const Block e = ((a - largest) / temperature).exp();
    cpu::store(e, kBlock, scratch.data() + first);
    total += sums[i] = e.sum();
  }
  const double point = uniform * total;
  double before = 0;
  size_t block = 0;
  while (block + 1 < sums.size() && before + sums[block] <= point) before += sums[block++];
  int64_t token = static_cast<int64_t>(block) * kBlock;
  while (token + 1 < n && before + scratch[token] <= point) before += scratch[token++];
  const double nearest = std::min(point - before, before + scratch[token] - point);
  return nearest > doubt * total ? std::optional(token) : std::nullopt;
}

int64_t draw(const float* logits, int64_t n, const SamplingRule& rule, float uniform,
             std::vector<float>& scratch) {
  const float largest = cpu::largest_of(logits, n);
  if ((rule.top_k == 0 || rule.top_k >= n) && rule.top_p >= 1.0f) {
    const auto token = draw_quickly(logits, n, largest, rule.temperature, uniform, scratch);
    if (token) return *token;
  }
  float threshold = -kInfinity;
  if (rule.top_k > 0 && rule.top_k < n) threshold = top_k_threshold(logits, n, rule.top_k, scratch);
  std::vector<Entry> entries;
  entries.reserve(rule.top_k > 0 ? rule.top_k : n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (logits[i] < threshold) continue;
    const float probability = std::exp((logits[i] - largest) / rule.temperature);
    entries.push_back({probability, static_cast<int32_t>(i)});
    total += probability;
  }
  if (rule.top_p < 1.0f) {
    cut_top_p(entries, rule.top_p, total);
    total = std::accumulate(entries.begin(), entries.end(), 0.0,
                            [](double sum, const Entry& entry) { return sum + entry.probability; });
  }
  double remaining = uniform * total;
  for (const Entry& entry : entries) {
    remaining -= entry.probability;
    if (remaining < 0) return entry.token;
  }
  return entries.back().token;
}

}  // namespace

void CpuKernels::sample(const SampleArguments& a) {
  const int64_t rows = a.logits.dim(0), columns = a.logits.dim(1);
  const float* in = a.logits.floats();
  for (int64_t row = 0; row < rows; ++row) {
    check(row_is_finite(in + row * columns, columns), ErrorKind::model,
          "the transformer gave a logit that is not finite at image position {}, candidate {}", a.position,
          a.candidates[row]);
  }
  cpu::parallel_for(threads_, rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * columns;
      if (a.rule.temperature <= 0.0f) {
        a.tokens[row] = std::max_element(source, source + columns) - source;
      } else {
        const uint32_t word = random_block(a.seed, Stream::sampling, a.candidates[row], a.position, 0)[0];
        a.tokens[row] = draw(source, columns, a.rule, unit_interval(word), scratch);
      }
    }
  });
  if (a.log_probs.empty()) return;
  Device& device = a.logits.device();
  const Tensor targets = Tensor::from(device, {rows}, std::span<const int64_t>(a.tokens.data(), rows));
  Tensor losses = Tensor::empty(device, {rows}), logsumexp = Tensor::empty(device, {rows});
  cross_entropy(a.logits, targets, losses, logsumexp);
  for (int64_t row = 0; row < rows; ++row) a.log_probs[row] = -losses.floats()[row];
}

}  // namespace dalle1
