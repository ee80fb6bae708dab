// Element types of tensors, on devices and in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dalle1 {

/// CPU ops compute in f32; f16 and bf16 are storage there. i64 holds token ids, i8 is storage of packed
/// weights.
enum class DType : uint8_t { f32, f16, bf16, f64, i8, u8, i16, i32, i64, boolean };

size_t size_of(DType dtype);              ///< Bytes of one element.
std::string_view name_of(DType dtype);    ///< "f32", "f16", ...
DType dtype_from_name(std::string_view);  ///< Inverse of name_of; Error(usage) when unknown.
bool is_floating(DType dtype);

/// One bf16 in memory: what typed views of such a tensor point at.
struct Bf16 {
  uint16_t bits;
};

/// The type of tensors whose elements a T* points at.
template <typename T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no tensor has elements of this type");
  return DType::f32;
}();
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<Bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<int8_t> = DType::i8;
template <>
inline constexpr DType dtype_of<int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::i32;  // candidates' numbers
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;

float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  ///< Round to nearest even; overflow gives infinity.
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);  ///< Round to nearest even; NaN stays NaN.

}  // namespace dalle1
