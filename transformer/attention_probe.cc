#include "transformer/attention_probe.h"

#include <algorithm>
#include <cmath>

#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

// Keeps the queries, keys and values of one layer.
class ProbeSequence final : public WholeSequence {
 public:
  ProbeSequence(const Transformer& model, int32_t slots, int layer)
      : WholeSequence(layer_patterns(model.config(), slots), model.config().heads, model.rotations(slots)),
        layer_(layer) {}
  const std::vector<float>& kept() const { return kept_; }

 private:
  void keep(Context&, int layer, const Tensor& qkv) override {
    if (layer == layer_) kept_ = qkv.to_floats();
  }

  int layer_;
  std::vector<float> kept_;
};

}  // namespace

AttentionWeights probe_attention(Context& context, const Transformer& model, const TokenBatch& batch,
                                 int layer, int head, int32_t cell) {
  const TransformerConfig& config = model.config();
  check(layer >= 0 && layer < config.layers, ErrorKind::usage, "{} {}: there are layers 0 to {}",
        OptionName{"layer"}, layer, config.layers - 1);
  check(head >= 0 && head < config.heads, ErrorKind::usage, "{} {}: there are heads 0 to {}",
        OptionName{"head"}, head, config.heads - 1);
  check(cell >= 0 && cell < config.cells() - 1, ErrorKind::usage,
        "cell {} of the grid: give one of 0 to {}; the last one is never an input", cell, config.cells() - 2);
  const auto slots = static_cast<int32_t>(batch.text.dim(1));
  const auto sequence = std::make_shared<ProbeSequence>(model, slots, layer);
  Context plain = context.untaped();
  const Tensor cells = ops::slice(plain, batch.image, 1, 0, config.cells() - 1);
  model.trunk(plain, model.embed(plain, batch.text, cells), sequence);

  const int32_t before = config.sequence(slots).grid().begin, query = before + cell;
  const int64_t width = config.attention_width(), size = config.head_size();
  const float* q = sequence->kept().data() + query * 3 * width + head * size;
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  std::vector<double> weights(before + config.cells(), 0.0);
  double largest = -INFINITY, total = 0;
  const auto ranges = key_ranges(layer_pattern(config, layer, slots), query);
  for (const KeyRange& range : ranges) {
    for (int32_t key = range.begin; key < range.end; ++key) {
      const float* k = sequence->kept().data() + key * 3 * width + width + head * size;
      for (int64_t d = 0; d < size; ++d) weights[key] += double{q[d]} * k[d];
      weights[key] *= scale;
      largest = std::max(largest, weights[key]);
    }
  }
  AttentionWeights result{std::vector<float>(before), std::vector<float>(config.cells())};
  for (const KeyRange& range : ranges) {
    for (int32_t key = range.begin; key < range.end; ++key)
      total += weights[key] = std::exp(weights[key] - largest);
  }
  for (const KeyRange& range : ranges) {
    for (int32_t key = range.begin; key < range.end; ++key) {
      (key < before ? result.text[key] : result.image[key - before]) =
          static_cast<float>(weights[key] / total);
    }
  }
  return result;
}

}  // namespace dalle1::transformer
