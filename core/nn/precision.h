// The type of numbers that a model keeps its parameters in and multiplies.
#pragma once

#include <string_view>

#include "core/tensor/device.h"
#include "core/tensor/dtype.h"

namespace dalle1 {

/// f32; bf16 with f32 sums, on a GPU; int8 on the CPU for a transformer's products (see
/// core/cpu/int8_linear.h), where everything else is f32.
enum class Precision : uint8_t { f32, bf16, int8 };

std::string_view name_of(Precision precision);
/// "f32", "bf16" or "int8"; Error(usage) for another name.
Precision precision_from_name(std::string_view name);
/// Error(usage) when the device does not draw in this precision.
void check_precision(Precision precision, const Device& device);
/// f32 on the CPU, bf16 on a GPU.
Precision usual_precision(const Device& device);

DType matrices_of(Precision precision);      ///< Of a transformer.
DType convolutions_of(Precision precision);  ///< Of a dVAE or CLIP, their matrices as well.
DType cache_of(Precision precision);         ///< Of a transformer's cached keys and values on the CPU.

}  // namespace dalle1
