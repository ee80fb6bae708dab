// Whether drawn pictures are copies of training pictures: the nearest one by image tokens, for drawn pictures
// and, as the measure of what is near, for held-out real ones.
#pragma once

#include <string>
#include <vector>

#include "core/data/token_shard.h"
#include "core/image/image.h"
#include "rerank/results.h"
#include "tools/studio.h"

namespace dalle1::tools {

struct MemoryQuery {
  std::string kind;
  std::vector<int32_t> tokens;  ///< [G * G]
};

struct NearestPicture {
  uint64_t index = 0;    ///< In the shards.
  double different = 1;  ///< Share of cells with other tokens.
  std::string caption;
};

/// The training picture with the fewest other tokens, for each query.
std::vector<NearestPicture> nearest_pictures(const TokenShards& training,
                                             const std::vector<MemoryQuery>& queries);

/// By kind and of all: {"kind", "drawn", "held_out" (counts), "drawn_median", "drawn_least",
/// "held_out_median", "held_out_least" (shares of cells that differ from the nearest training picture),
/// "nearer" (share of drawn pictures that are nearer than 95% of the held-out ones; 5% are expected of a
/// model that does not copy)}; what there are no pictures for is null. Held-out pictures of kinds that were
/// not drawn do not count.
rerank::Json measure_memory(const std::vector<MemoryQuery>& drawn, const std::vector<NearestPicture>& nearest,
                            const std::vector<MemoryQuery>& held_out,
                            const std::vector<NearestPicture>& held_out_nearest);

/// The drawn pictures that are nearest to a training picture, each beside it; at most 32 pairs.
Image memory_sheet(Studio& studio, const TokenShards& training, const std::vector<MemoryQuery>& drawn,
                   const std::vector<NearestPicture>& nearest);

}  // namespace dalle1::tools
