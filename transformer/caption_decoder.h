// Writing captions: each picture's vectors once, then tokens one by one for all captions in lockstep.
#pragma once

#include <vector>

#include "core/kernels/arguments.h"
#include "transformer/captioner.h"

namespace dalle1::transformer {

struct CaptionRequest {
  int32_t count = 1;                    ///< Captions of each picture.
  SamplingRule rule{.temperature = 0};  ///< Greedy by itself; see transformer/sampler.h.
  uint64_t seed = 0;
};

struct Caption {
  std::vector<int32_t> ids;   ///< Without bos and eos.
  double log_likelihood = 0;  ///< Sum of ln p over ids and eos, at temperature 1 and without cuts.
  bool complete = false;      ///< Ended by eos; else cut at text_slots tokens, and the sum lacks eos.
};

/// `count` captions of each of B pictures, picture after picture; `vectors` [B, P, C] as of
/// Captioner::picture_vectors. Caption k of a picture draws with the numbers (seed, k, position): it is the
/// same whatever other pictures are there. Error(usage) for a bad rule.
std::vector<Caption> write_captions(Context& context, const Captioner& model, const Tensor& vectors,
                                    const CaptionRequest& request);

}  // namespace dalle1::transformer
