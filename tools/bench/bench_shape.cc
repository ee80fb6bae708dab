#include "tools/bench/bench_shape.h"

#include "weights/open.h"

namespace dalle1::tools {

transformer::TransformerConfig BenchShape::config() const {
  if (!file.empty()) {
    auto json = weights::read_config(file);
    json.erase("train");
    return transformer::config_from_json(json);
  }
  transformer::TransformerConfig config;
  config.layers = layers;
  config.width = width;
  config.heads = heads;
  config.text_length = text;
  config.grid = grid;
  config.image_vocab = vocab;
  config.schedule.kind = schedule;
  validate(config);
  return config;
}

void add_bench_shape(CLI::App& app, BenchShape& shape) {
  app.add_option("--config", shape.file, "A preset or JSON file, in place of the following");
  app.add_option("--layers", shape.layers, "Layers")->capture_default_str();
  app.add_option("--width", shape.width, "Channels")->capture_default_str();
  app.add_option("--heads", shape.heads, "Attention heads")->capture_default_str();
  app.add_option("--text", shape.text, "Text slots")->capture_default_str();
  app.add_option("--grid", shape.grid, "Image tokens along one side")->capture_default_str();
  app.add_option("--vocab", shape.vocab, "Image codes")->capture_default_str();
  app.add_option("--schedule", shape.schedule, "paper, dense, row, column or conv")->capture_default_str();
}

int64_t streamed_weights(const transformer::TransformerConfig& config) {
  const int64_t width = config.width;
  return config.layers * (4 + 2 * int64_t{config.mlp_ratio}) * width * width + width * config.image_vocab;
}

}  // namespace dalle1::tools
