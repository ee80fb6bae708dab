// What one head of one layer looks at.
#pragma once

#include "transformer/loss.h"

namespace dalle1::transformer {

struct AttentionWeights {
  std::vector<float> text;   ///< [S] probability of each text slot.
  std::vector<float> image;  ///< [G * G] of each grid cell; 0 where the pattern does not see it.
};

/// Attention of the position that predicts `cell` + 1, that is, which holds the image token of `cell`. text
/// i64 [1, S], image i64 [1, G * G]. Error(usage) for a layer, head or cell that is not there.
AttentionWeights probe_attention(Context& context, const Transformer& model, const TokenBatch& batch,
                                 int layer, int head, int32_t cell);

}  // namespace dalle1::transformer
