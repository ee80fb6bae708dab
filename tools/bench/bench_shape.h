// The size of a transformer as the bench commands take it.
#pragma once

#include "tools/program/options.h"
#include "transformer/config.h"

namespace dalle1::tools {

struct BenchShape {
  std::string file;  ///< --config: a preset or JSON file; the other flags are ignored with it.
  int layers = 12, width = 512, heads = 8, text = 128, grid = 32, vocab = 8192;
  std::string schedule = "paper";

  transformer::TransformerConfig config() const;
};

/// --config or --layers --width --heads --text --grid --vocab --schedule.
void add_bench_shape(CLI::App& app, BenchShape& shape);

/// Parameters that one decoding step reads: blocks and the image classes of the head.
int64_t streamed_weights(const transformer::TransformerConfig& config);

}  // namespace dalle1::tools
