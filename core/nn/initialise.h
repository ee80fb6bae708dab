// First values of parameters.
#pragma once

#include "core/tensor/tensor.h"

namespace dalle1::nn {

/// Normal draws of this deviation, a function of the seed and the parameter's `index`. For f32.
void fill_normal(const Tensor& parameter, float deviation, uint64_t seed, uint32_t index);

}  // namespace dalle1::nn
