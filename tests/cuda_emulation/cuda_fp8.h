// e4m3: 4 bits of exponent (bias 7), 3 of mantissa, no infinities, largest 448.
#pragma once

#include <cuda_runtime.h>

struct __nv_fp8_e4m3 {
  uint8_t __x;
  __nv_fp8_e4m3() = default;
  explicit __nv_fp8_e4m3(float value) {
    const float magnitude = std::fabs(value);
    uint8_t bits = 0x7f;  // NaN
    if (!std::isnan(value)) {
      int exponent = 0;
      std::frexp(magnitude, &exponent);
      const int unit = std::max(exponent - 1, -6) - 3;  // of the last bit
      const auto steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, -unit)));
      const float rounded = std::ldexp(static_cast<float>(steps), unit);
      if (magnitude == 0) {
        bits = 0;
      } else if (std::isinf(magnitude) || rounded > 448.0f) {
        bits = 0x7e;
      } else {
        // A mantissa that rounds up to 16 carries into the exponent by itself.
        bits = static_cast<uint8_t>((unit + 9) * 8 + steps);
      }
    }
    __x = static_cast<uint8_t>(bits | (std::signbit(value) ? 0x80 : 0));
  }
  explicit operator float() const {
    const int exponent = __x >> 3 & 15, mantissa = __x & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    if ((__x & 0x7f) == 0x7f) value = NAN;
    return __x & 0x80 ? -value : value;
  }
};
