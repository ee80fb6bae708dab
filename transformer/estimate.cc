#include "transformer/estimate.h"

#include <algorithm>

namespace dalle1::transformer {
namespace {

// Weights of the products of one block (without biases and norms).
int64_t block_weights(const TransformerConfig& config) {
  const int64_t width = config.width;
  return (4 * config.attention_width() + (config.gated_mlp ? 3 : 2) * config.mlp_ratio * width) * width;
}

// Keys that the queries [begin, end) of a pattern see in all.
int64_t seen_keys(const AttentionPattern& pattern, int32_t begin, int32_t end) {
  int64_t count = 0;
  for (int32_t query = begin; query < end; ++query) {
    for (const KeyRange& range : key_ranges(pattern, query)) count += range.end - range.begin;
  }
  return count;
}

}  // namespace

int64_t parameter_count(const TransformerConfig& config) {
  const int64_t width = config.width, norm = 2 * width;
  const int64_t biases =
      3 * config.attention_width() + (2 + (config.gated_mlp ? 2 : 1) * config.mlp_ratio) * width;
  const int64_t block = block_weights(config) + biases + (config.sandwich_norm ? 4 : 2) * norm;
  const int64_t tables =
      config.text_classes() + config.text_positions() + config.image_vocab + 2 * config.grid;
  const int64_t head = int64_t{config.classes()} * (width + 1);
  return config.layers * block + tables * width + (config.head_norm ? 2 : 1) * norm + head;
}

Estimate estimate(const TransformerConfig& config, const EstimateOptions& options) {
  Estimate result;
  result.parameters = parameter_count(config);
  result.weights = static_cast<size_t>(result.parameters) * options.weight_bytes;
  const auto groups = static_cast<size_t>(options.groups);
  const Segment cells = config.sequence(config.text_length).grid();
  const int32_t end = cells.end - 1, begin = std::min(cells.begin + options.prefilled, end);
  const size_t two_rows = 2 * groups * static_cast<size_t>(config.attention_width());  // a key and a value
  const auto patterns = layer_patterns(config, config.text_length);
  const auto plans = plan_slots(patterns, begin, end);

  const double per_position = 2.0 * static_cast<double>(block_weights(config)) * config.layers;
  const double head = 2.0 * config.width * config.image_vocab;
  double prefill_keys = 0, step_keys = 0;
  std::vector<std::pair<double, double>> counts;  // as with plans, equal patterns are counted once
  for (size_t layer = 0; layer < patterns.size(); ++layer) {
    size_t same = 0;
    while (plans[same] != plans[layer]) ++same;
    if (same < layer) {
      counts.push_back(counts[same]);
    } else {
      counts.emplace_back(seen_keys(patterns[layer], 0, begin), seen_keys(patterns[layer], begin, end));
    }
    prefill_keys += counts.back().first;
    step_keys += counts.back().second;
    const size_t row_bytes =
        two_rows * size_of(store_type(layer_cache(options.cache, *plans[layer]), options.activations));
    result.cache += static_cast<size_t>(std::max(plans[layer]->slots(), 1)) * row_bytes;
    result.full_cache += static_cast<size_t>(cells.size()) * row_bytes;
  }
  result.prefix = patterns.size() * static_cast<size_t>(begin) * two_rows *
                  size_of(prefix_type(options.cache, options.activations, options.device));
  if (config.token_shift) {  // half of the channels, of a row of cells, twice a layer
    const auto row = static_cast<size_t>(config.grid) * static_cast<size_t>(config.width);
    result.cache += patterns.size() * groups * row * size_of(options.activations);
    result.full_cache += patterns.size() * groups * row * size_of(options.activations);
  }
  const double attention = 4.0 * config.attention_width();  // q k^T and p v
  const int32_t steps = end - begin;
  result.prefill_flops = options.groups * (begin * per_position + head + attention * prefill_keys);
  result.image_flops = options.groups * (steps * (per_position + head) + attention * step_keys);
  // Logits and what sampling copies of them; hidden states, qkv and the wide layer of the MLP with its
  // activation.
  result.workspace =
      groups * sizeof(float) *
      (3 * static_cast<size_t>(config.image_vocab) + 3 * static_cast<size_t>(config.attention_width()) +
       static_cast<size_t>(7 + (config.reversible ? 4 : 0) + (config.gated_mlp ? 5 : 2) * config.mlp_ratio) *
           static_cast<size_t>(config.width));
  return result;
}

}  // namespace dalle1::transformer
