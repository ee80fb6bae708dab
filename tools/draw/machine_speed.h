// How fast this machine draws, measured in a fraction of a second.
#pragma once

#include "core/nn/precision.h"
#include "core/tensor/device.h"
#include "transformer/config.h"

namespace dalle1::tools {

/// Per second.
struct MachineSpeed {
  double sampling = 0;  ///< Operations of products in the shapes and the shares that sampling a wave has.
  double logits = 0;    ///< From which the tokens of a wave are drawn, in the same shares.
  double together = 0;  ///< Operations of products at which all threads work: prefill, decoding, scoring.
};

/// Of a transformer in `precision`, of waves of `wave` candidates with `groups` rows each (2 with guidance).
MachineSpeed measure_speed(Device& device, const transformer::TransformerConfig& config, int wave, int groups,
                           PrecisionName precision);

}  // namespace dalle1::tools
