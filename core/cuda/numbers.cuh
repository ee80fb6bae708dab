// Floating values in memory whose storage type is known only at run time.
//
// Memory-bound kernels are written once on floats: the branch on the type is the same for all threads and
// costs nothing beside the access. Kernels that compute much are templates instead.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "core/tensor/tensor.h"

namespace dalle1::cuda {

constexpr int kGroup = 4;  ///< Values that one thread moves at once.

struct Group {
  float values[kGroup];
};

struct Numbers {
  void* data;
  DType type;  ///< f32, bf16 or f16

  __device__ float operator[](int64_t i) const {
    if (type == DType::f32) return static_cast<const float*>(data)[i];
    if (type == DType::bf16) return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
    return __half2float(static_cast<const __half*>(data)[i]);
  }
  __device__ void set(int64_t i, float value) const {
    if (type == DType::f32) {
      static_cast<float*>(data)[i] = value;
    } else if (type == DType::bf16) {
      static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16_rn(value);
    } else {
      static_cast<__half*>(data)[i] = __float2half_rn(value);
    }
  }

  /// Values [i, i + 4), zeros from `end` on; in one access if `whole`, which promises alignment.
  __device__ Group load(int64_t i, int64_t end, bool whole) const {
    Group group;
    if (!whole || i + kGroup > end) {
      for (int k = 0; k < kGroup; ++k) group.values[k] = i + k < end ? (*this)[i + k] : 0.0f;
    } else if (type == DType::f32) {
      const float4 four = static_cast<const float4*>(data)[i / kGroup];
      group = {four.x, four.y, four.z, four.w};
    } else {
      const uint2 four = static_cast<const uint2*>(data)[i / kGroup];
      const float2 low = pair(four.x), high = pair(four.y);
      group = {low.x, low.y, high.x, high.y};
    }
    return group;
  }
  __device__ void store(int64_t i, int64_t end, bool whole, const Group& group) const {
    if (!whole || i + kGroup > end) {
      for (int k = 0; k < kGroup && i + k < end; ++k) set(i + k, group.values[k]);
    } else if (type == DType::f32) {
      static_cast<float4*>(data)[i / kGroup] =
          make_float4(group.values[0], group.values[1], group.values[2], group.values[3]);
    } else {
      static_cast<uint2*>(data)[i / kGroup] =
          make_uint2(bits(group.values[0], group.values[1]), bits(group.values[2], group.values[3]));
    }
  }
  __device__ Numbers from(int64_t offset) const {
    return {static_cast<char*>(data) + offset * (type == DType::f32 ? 4 : 2), type};
  }

 private:
  __device__ float2 pair(uint32_t bits) const {
    if (type == DType::bf16) return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&bits));
    return __half22float2(*reinterpret_cast<const __half2*>(&bits));
  }
  __device__ uint32_t bits(float low, float high) const {
    if (type == DType::bf16) {
      const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
      return *reinterpret_cast<const uint32_t*>(&two);
    }
    const __half2 two = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&two);
  }
};

inline Numbers numbers(const Tensor& tensor) {
  const DType type = tensor.dtype();
  check(type == DType::f32 || type == DType::bf16 || type == DType::f16, ErrorKind::internal,
        "CUDA arithmetic on a tensor of {}", name_of(type));
  return {tensor.raw(), type};
}

/// Whether groups of four can be accessed at once in all of these, in rows of `width` values.
template <typename... More>
bool whole_groups(int64_t width, const Numbers& first, const More&... more) {
  const uintptr_t bytes = kGroup * (first.type == DType::f32 ? 4 : 2);
  const bool aligned = reinterpret_cast<uintptr_t>(first.data) % bytes == 0 && width % kGroup == 0;
  if constexpr (sizeof...(more) == 0) {
    return aligned;
  } else {
    return aligned && whole_groups(width, more...);
  }
}

}  // namespace dalle1::cuda
