// Random numbers drawn on the device.
#pragma once

#include "core/random/philox.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

/// f32, uniform in (low, high], a function of (seed, stream, index) and of the element's place alone: see
/// core/random/philox.h.
Tensor uniform(Device& device, const Shape& shape, float low, float high, uint64_t seed, Stream stream,
               uint32_t index = 0);

}  // namespace dalle1::ops
