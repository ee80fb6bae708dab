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

// Exponentials of a few units' error, of one row.
struct QuickRow {
  std::vector<float> exponentials;
  std::vector<double> sums;  // of kBlock each
  double total = 0;

  void fill(const float* logits, int64_t n, float largest, float temperature) {
    exponentials.resize(n + kBlock);
    sums.resize((n + kBlock - 1) / kBlock);
    total = 0;
    Block a;
    for (size_t i = 0; i < sums.size(); ++i) {
      const int64_t first = static_cast<int64_t>(i) * kBlock;
      cpu::load(logits + first, n - first, a, -kInfinity);
      const Block e = ((a - largest) / temperature).exp();
      cpu::store(e, kBlock, exponentials.data() + first);
      total += sums[i] = e.sum();
    }
  }
};

constexpr double kDoubt = 2e-5;  // of the whole; the sums of a QuickRow are exact to a millionth

// What draw_slowly() returns when nothing is cut: nothing when the drawn point lies so near a token's edge
// that the error could matter.
std::optional<int64_t> draw_quickly(const QuickRow& row, int64_t n, float uniform) {
  const double point = uniform * row.total;
  double before = 0;
  size_t block = 0;
  while (block + 1 < row.sums.size() && before + row.sums[block] <= point) before += row.sums[block++];
  int64_t token = static_cast<int64_t>(block) * kBlock;
  while (token + 1 < n && before + row.exponentials[token] <= point) before += row.exponentials[token++];
  const double nearest = std::min(point - before, before + row.exponentials[token] - point);
  return nearest > kDoubt * row.total ? std::optional(token) : std::nullopt;
}

int64_t draw_entry(const std::vector<Entry>& entries, float uniform) {
  const double total =
      std::accumulate(entries.begin(), entries.end(), 0.0,
                      [](double sum, const Entry& entry) { return sum + entry.probability; });
  double remaining = uniform * total;
  for (const Entry& entry : entries) {
    remaining -= entry.probability;
    if (remaining < 0) return entry.token;
  }
  return entries.back().token;
}

float probability_of(float logit, float largest, float temperature) {
  return std::exp((logit - largest) / temperature);
}

// What draw_slowly() returns when top-p alone cuts. All tokens below (1 - p) / n of the whole sum to less
// than 1 - p, so that only the others need to be in order. Nothing when the error could move the cut.
std::optional<int64_t> draw_top_p_quickly(const QuickRow& row, const float* logits, int64_t n, float largest,
                                          const SamplingRule& rule, float uniform) {
  const double least = 0.99 * (1.0 - rule.top_p) * row.total / static_cast<double>(n);
  std::vector<Entry> entries;
  for (int64_t i = 0; i < n; ++i) {
    if (row.exponentials[i] >= least)
      entries.push_back({probability_of(logits[i], largest, rule.temperature), static_cast<int32_t>(i)});
  }
  cut_top_p(entries, rule.top_p, row.total);
  double before = 0, nearest = row.total;
  for (const Entry& entry : entries) {
    before += entry.probability;
    nearest = std::min(nearest, std::abs(before - rule.top_p * row.total));
  }
  if (nearest <= kDoubt * row.total || before <= rule.top_p * row.total) return std::nullopt;
  return draw_entry(entries, uniform);
}

int64_t draw_slowly(const float* logits, int64_t n, float largest, const SamplingRule& rule, float uniform,
                    std::vector<float>& scratch) {
  float threshold = -kInfinity;
  if (rule.top_k > 0 && rule.top_k < n) threshold = top_k_threshold(logits, n, rule.top_k, scratch);
  std::vector<Entry> entries;
  entries.reserve(rule.top_k > 0 ? rule.top_k : n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (logits[i] < threshold) continue;
    entries.push_back({probability_of(logits[i], largest, rule.temperature), static_cast<int32_t>(i)});
    total += entries.back().probability;
  }
  if (rule.top_p < 1.0f) cut_top_p(entries, rule.top_p, total);
  return draw_entry(entries, uniform);
}

int64_t draw(const float* logits, int64_t n, const SamplingRule& rule, float uniform, QuickRow& row) {
  const float largest = cpu::largest_of(logits, n);
  if (rule.top_k == 0 || rule.top_k >= n) {
    row.fill(logits, n, largest, rule.temperature);
    const auto token = rule.top_p < 1.0f ? draw_top_p_quickly(row, logits, n, largest, rule, uniform)
                                         : draw_quickly(row, n, uniform);
    if (token) return *token;
  }
  return draw_slowly(logits, n, largest, rule, uniform, row.exponentials);
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
    QuickRow quick;
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * columns;
      if (a.rule.temperature <= 0.0f) {
        a.tokens[row] = std::max_element(source, source + columns) - source;
      } else {
        const uint32_t word = random_block(a.seed, Stream::sampling, a.candidates[row], a.position, 0)[0];
        a.tokens[row] = draw(source, columns, a.rule, unit_interval(word), quick);
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
