// Conversion between the element types that checkpoints store, tensor by tensor.
//
// i8: |q| <= 127 with one f32 scale per output row (first axis), value = q * scale. Only
// floating tensors of two and more dimensions are stored narrow; vectors (biases, gains, statistics) are few
// and stay f32.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "weights/checkpoint.h"

namespace dalle1::weights {

/// Values as f32. `scale` is the tensor's "NAME.scale" for i8 and must be null otherwise. Error(model) when
/// the tensor is not floating, or an i8 tensor has no scale of one f32 per row.
std::vector<float> to_floats(const RawTensor& tensor, const RawTensor* scale = nullptr);

/// The type in which a tensor is stored when a file is written with `wanted` (f32, f16, bf16 or i8).
DType stored_dtype(const std::vector<int64_t>& shape, DType source, DType wanted);

struct Packed {
  std::vector<std::byte> bytes;
  std::vector<float> scale;  ///< For i8 alone.
};

/// Rounds to the nearest `dtype` (f32, f16, bf16, i8). Error(model) that names the tensor when a value is not
/// finite in it.
Packed pack(std::string_view name, std::span<const float> values, const std::vector<int64_t>& shape,
            DType dtype);

/// A tensor as i8 rows: those of the file where it stores them, else pack()ed. Errors as to_floats().
Packed to_rows(const RawTensor& tensor, const RawTensor* scale = nullptr);

}  // namespace dalle1::weights
