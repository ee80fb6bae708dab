// What a transformer needs before it runs: the same slot plans as the decoder's, so that the figures hold.
#pragma once

#include "transformer/config.h"
#include "transformer/sequence.h"

namespace dalle1::transformer {

struct EstimateOptions {
  size_t weight_bytes = 4;                 ///< Of one parameter.
  CacheType cache = CacheType::automatic;  ///< How keys and values are kept,
  DType activations = DType::f32;          ///< beside activations of this type.
  int groups = 1;                          ///< 2 with guidance.
  int32_t prefilled = 0;                   ///< Forced first cells.
  DeviceKind device = DeviceKind::cpu;
};

struct Estimate {
  int64_t parameters = 0;
  size_t weights = 0;     ///< Bytes.
  size_t prefix = 0;      ///< Bytes of keys and values of the prompt (all groups), shared by all candidates.
  size_t cache = 0;       ///< Bytes of keys and values of one candidate.
  size_t full_cache = 0;  ///< The same if every image position were kept in every layer.
  size_t workspace = 0;   ///< Bytes of activations and logits of one candidate in a step.
  double prefill_flops = 0;  ///< Of one prompt (all groups).
  double image_flops = 0;    ///< Of one candidate's picture without the prefill: linear, head, attention.
};

int64_t parameter_count(const TransformerConfig& config);
Estimate estimate(const TransformerConfig& config, const EstimateOptions& options);

}  // namespace dalle1::transformer
