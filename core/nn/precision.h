// The types of numbers of a model, and their names.
#pragma once

#include <string_view>

#include "core/tensor/device.h"
#include "core/tensor/dtype.h"

namespace dalle1 {

/// The types of a model's numbers, which it is given when it is made and hands to its layers. Sums, norms,
/// losses and what lies between the blocks in training are f32 in all.
struct Precision {
  DType parameters = DType::f32;   ///< Of matrices and filters. i8: a transformer's matrices, on the CPU.
  DType compute = DType::f32;      ///< What products multiply, see MatmulOptions.
  DType activations = DType::f32;  ///< What products take and give: f32, or bf16 on a GPU.
  DType cache = DType::f32;        ///< A transformer's cached keys and values on the CPU.

  Precision() = default;
  /// A model to run with parameters of one type.
  Precision(DType parameters);  // NOLINT(google-explicit-constructor): a type alone says all
  /// f32 parameters to train, whose products compute in `compute`; on a GPU activations have this type.
  static Precision training(DType compute, const Device& device);
  /// The same for parts that are no matrices of a transformer: f32 in place of i8.
  Precision without_int8() const;
};

/// What a user can ask for: f32; bf16 with f32 sums, on a GPU; int8 on the CPU for a transformer's products
/// (see core/cpu/int8_linear.h), where everything else is f32.
enum class PrecisionName : uint8_t { f32, bf16, int8 };

std::string_view name_of(PrecisionName name);
/// "f32", "bf16" or "int8"; Error(usage) for another name.
PrecisionName precision_from_name(std::string_view name);
/// Error(usage) when the device does not draw in this precision.
void check_precision(PrecisionName name, const Device& device);
/// f32 on the CPU, bf16 on a GPU.
PrecisionName usual_precision(const Device& device);

/// Of a transformer, and of the models that read and make pictures.
struct ModelPrecisions {
  Precision transformer, pictures;
};
ModelPrecisions precisions_of(PrecisionName name, const Device& device);

}  // namespace dalle1
