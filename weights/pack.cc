#include "weights/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace dalle1::weights {
namespace {

template <typename T>
T element(const RawTensor& tensor, size_t i) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

/// The scales of an i8 tensor, whose values have been looked at.
std::vector<float> checked_scales(const RawTensor& tensor, const RawTensor* scale) {
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
  check(scale && scale->dtype == DType::f32 && scale->numel() == rows && scale->shape.size() == 1,
        ErrorKind::model, "'{}' is i8 and needs '{}.scale', f32 [{}]", tensor.name, tensor.name, rows);
  std::vector<float> scales;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    scales.push_back(element<float>(*scale, row));
    check(std::isfinite(scales.back()), ErrorKind::model, "'{}.scale' has the value {} at row {}",
          tensor.name, scales.back(), row);
  }
  for (size_t i = 0; i < tensor.bytes.size(); ++i)
    check(element<int8_t>(tensor, i) >= -127, ErrorKind::model,
          "'{}' has -128 at element {}; i8 weights go from -127 to 127", tensor.name, i);
  return scales;
}

std::vector<float> unpack_rows(const RawTensor& tensor, const RawTensor* scale) {
  const std::vector<float> scales = checked_scales(tensor, scale);
  std::vector<float> values(tensor.bytes.size());
  const size_t columns = scales.empty() ? 0 : values.size() / scales.size();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(element<int8_t>(tensor, i)) * scales[i / columns];
  return values;
}

Packed pack_rows(std::string_view name, std::span<const float> values, int64_t rows) {
  Packed packed;
  packed.bytes.resize(values.size());
  packed.scale.resize(static_cast<size_t>(rows));
  const size_t columns = rows ? values.size() / static_cast<size_t>(rows) : 0;
  for (size_t row = 0; row < packed.scale.size(); ++row) {
    float largest = 0;
    for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
      check(std::isfinite(values[i]), ErrorKind::model, "'{}' has the value {} at element {}", name,
            values[i], i);
      largest = std::max(largest, std::fabs(values[i]));
    }
    const float scale = packed.scale[row] = largest / 127;
    for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
      const float q = scale > 0 ? std::clamp(std::nearbyint(values[i] / scale), -127.f, 127.f) : 0.f;
      packed.bytes[i] = static_cast<std::byte>(static_cast<int8_t>(q));
    }
  }
  return packed;
}

template <typename Round, typename Back>
Packed pack_16(std::string_view name, std::span<const float> values, Round round, Back back) {
  Packed packed;
  packed.bytes.resize(2 * values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = round(values[i]);
    check(std::isfinite(back(bits)), ErrorKind::model,
          "'{}' has the value {} at element {}, which a 16-bit float does not hold", name, values[i], i);
    std::memcpy(packed.bytes.data() + 2 * i, &bits, 2);
  }
  return packed;
}

}  // namespace

std::vector<float> to_floats(const RawTensor& tensor, const RawTensor* scale) {
  if (tensor.dtype == DType::i8) return unpack_rows(tensor, scale);
  std::vector<float> values(static_cast<size_t>(tensor.numel()));
  switch (tensor.dtype) {
    case DType::f32:
      std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
      break;
    case DType::f16:
      for (size_t i = 0; i < values.size(); ++i) values[i] = f16_to_f32(element<uint16_t>(tensor, i));
      break;
    case DType::bf16:
      for (size_t i = 0; i < values.size(); ++i) values[i] = bf16_to_f32(element<uint16_t>(tensor, i));
      break;
    case DType::f64:
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(element<double>(tensor, i));
      break;
    default:
      fail(ErrorKind::model, "'{}' is {}; a weight is a floating tensor", tensor.name, name_of(tensor.dtype));
  }
  return values;
}

Packed to_rows(const RawTensor& tensor, const RawTensor* scale) {
  if (tensor.dtype != DType::i8) return pack(tensor.name, to_floats(tensor, scale), tensor.shape, DType::i8);
  std::vector<float> scales = checked_scales(tensor, scale);
  return {{tensor.bytes.begin(), tensor.bytes.end()}, std::move(scales)};
}

DType stored_dtype(const std::vector<int64_t>& shape, DType source, DType wanted) {
  if (!is_floating(source) && source != DType::i8) return source;
  return shape.size() >= 2 ? wanted : DType::f32;
}

Packed pack(std::string_view name, std::span<const float> values, const std::vector<int64_t>& shape,
            DType dtype) {
  switch (dtype) {
    case DType::f16:
      return pack_16(name, values, f32_to_f16, f16_to_f32);
    case DType::bf16:
      return pack_16(name, values, f32_to_bf16, bf16_to_f32);
    case DType::i8:
      return pack_rows(name, values, shape.empty() ? 1 : shape[0]);
    case DType::f32: {
      auto bytes = std::as_bytes(values);
      return {{bytes.begin(), bytes.end()}, {}};
    }
    default:
      fail(ErrorKind::usage, "weights are stored as f32, f16, bf16 or i8, not {}", name_of(dtype));
  }
}

}  // namespace dalle1::weights
