// NumPy's .npy files (format 1.0 to 3.0, NEP 1): little endian, C order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/tensor/dtype.h"

namespace dalle1 {

/// The element type of a .npy file that holds T; uint16_t stands for the bits of an f16.
template <typename T>
constexpr DType npy_dtype() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, uint16_t>) return DType::f16;
  if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, int16_t>) return DType::i16;
  if constexpr (std::is_same_v<T, int8_t>) return DType::i8;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::u8;
  if constexpr (std::is_same_v<T, bool>) return DType::boolean;
}

struct NpyArray {
  DType dtype = DType::f32;    ///< anything but bf16
  std::vector<int64_t> shape;  ///< empty for a scalar
  std::vector<uint8_t> bytes;  ///< row-major elements

  int64_t count() const { return static_cast<int64_t>(bytes.size() / size_of(dtype)); }

  /// The elements in place. Error(input) unless they are of type T.
  template <typename T>
  std::span<const T> values() const {
    check(dtype == npy_dtype<T>(), ErrorKind::input, "npy: the array holds {}, {} is needed", name_of(dtype),
          name_of(npy_dtype<T>()));
    return {reinterpret_cast<const T*>(bytes.data()), static_cast<size_t>(count())};
  }
  std::vector<float> to_f32() const;    ///< from f16, f32 or f64; Error(input) otherwise
  std::vector<int64_t> to_i64() const;  ///< from any integer type or bool; Error(input) otherwise
};

/// Error(input) that names the file and what is wrong: not .npy, a damaged header, an element type or order
/// that is not supported, more or fewer bytes than the shape says.
NpyArray read_npy(const std::filesystem::path& path);
NpyArray decode_npy(std::span<const uint8_t> bytes, std::string_view name);

/// The header that goes before the elements: magic, version 1.0, description, padded to 64 bytes.
std::vector<uint8_t> npy_header(DType dtype, std::span<const int64_t> shape);

/// To a file that appears when it is complete. Error(output) when it cannot be written, Error(internal)
/// unless the shape has as many elements as there are values.
void write_npy(const std::filesystem::path& path, DType dtype, std::span<const int64_t> shape,
               std::span<const std::byte> elements);

template <typename T>
void write_npy(const std::filesystem::path& path, const std::vector<int64_t>& shape,
               std::span<const T> values) {
  write_npy(path, npy_dtype<T>(), shape, std::as_bytes(values));
}
template <typename T>
void write_npy(const std::filesystem::path& path, const std::vector<int64_t>& shape,
               const std::vector<T>& values) {
  write_npy(path, shape, std::span<const T>(values));
}

}  // namespace dalle1
