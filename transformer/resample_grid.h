// Training first on a coarse grid and then on the full one: the same model with other position embeddings.
#pragma once

#include <cstdint>

#include "weights/checkpoint.h"

namespace dalle1::transformer {

/// A transformer's checkpoint for a grid of `grid` x `grid` cells: the learned row and column embeddings
/// [G, C] are linearly interpolated at the new cells' centres, as pictures are resized; all other tensors
/// are shared with `checkpoint`. A checkpoint that has this grid already comes back unchanged.
weights::Checkpoint resample_grid(const weights::Checkpoint& checkpoint, int64_t grid);

}  // namespace dalle1::transformer
