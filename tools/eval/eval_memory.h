// Whether drawn pictures are copies of training pictures: the nearest one by image tokens and by colours, for
// drawn pictures and, as the measure of what is near, for held-out real ones. A copy that is moved by some
// pixels or has other shades may share no token with its original and is near it by colours.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/data/token_shard.h"
#include "core/image/image.h"
#include "rerank/model_set.h"
#include "rerank/results.h"
#include "tools/eval/code_colours.h"

namespace dalle1::tools {

struct MemoryQuery {
  std::string kind;
  std::vector<int32_t> tokens;  ///< [G * G]
};

struct NearestPicture {
  uint64_t index = 0;  ///< In the shards.
  double distance = 0;
};

/// The training picture with the fewest other tokens, for each query; distance: their share. Of equals the
/// first.
std::vector<NearestPicture> nearest_by_tokens(const TokenShards& training,
                                              const std::vector<MemoryQuery>& queries);

/// The training picture with the least different thumbnail, for each query; distance: root of the mean
/// square, in levels of 255. Of equals the first, up to rounding.
std::vector<NearestPicture> nearest_by_colours(const TokenShards& training, const CodeColours& colours,
                                               Device& device, const std::vector<MemoryQuery>& queries);

/// By kind and of all: {"kind", "drawn", "held_out" (counts), "drawn_median", "drawn_least",
/// "held_out_median", "held_out_least" (distances to the nearest training picture), "nearer" (share of drawn
/// pictures that are nearer than 95% of the held-out ones; 5% are expected of a model that does not copy)};
/// what there are no pictures for is null. Held-out pictures of kinds that were not drawn do not count.
rerank::Json measure_memory(const std::vector<MemoryQuery>& drawn, const std::vector<NearestPicture>& nearest,
                            const std::vector<MemoryQuery>& held_out,
                            const std::vector<NearestPicture>& held_out_nearest);

/// The drawn pictures that are nearest to a training picture, each beside it; at most 32 pairs. `label` says
/// a distance.
Image memory_sheet(rerank::ModelSet& models, const TokenShards& training,
                   const std::vector<MemoryQuery>& drawn, const std::vector<NearestPicture>& nearest,
                   const std::function<std::string(double)>& label);

}  // namespace dalle1::tools
