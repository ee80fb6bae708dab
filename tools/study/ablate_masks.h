// The attention patterns of a configuration as pictures.
#pragma once

#include <string>
#include <vector>

#include "core/image/image.h"
#include "transformer/config.h"

namespace dalle1::tools {

/// Layers of one pattern.
struct PatternUse {
  AttentionPattern pattern;
  std::string entry;            ///< Its name: "row", "conv 11x11 raster", or the schedule's own entry.
  std::vector<int32_t> layers;  ///< From 0.
  int64_t ones = 0;
};

/// Distinct patterns in the order of their first layers.
std::vector<PatternUse> patterns_of(const transformer::TransformerConfig& config);

/// "1, 3-5": layers from 1.
std::string layer_list(const std::vector<int32_t>& layers);

/// Grey, white where a query (down) sees a key (across), shrunk to at most `side` pixels by averaging.
Image picture_of(const AttentionPattern& pattern, int side);

/// The same, enlarged by a whole factor as far as `side` allows.
Image enlarged_picture_of(const AttentionPattern& pattern, int side);

/// Of all layers.
int64_t ones_of(const transformer::TransformerConfig& config);

/// One row of pictures, a layer each, under a title with the variant's ones, cache bytes and FLOPs (figure 11
/// of the paper for any schedule).
Image draw_layers(const std::string& name, const transformer::TransformerConfig& config);

/// Sheets of equal or unequal width below each other.
Image stack(const std::vector<Image>& sheets);

}  // namespace dalle1::tools
