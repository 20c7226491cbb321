// Conversions between float and the two 16-bit storage formats, as raw bits, round to nearest even.
#ifndef GPTQC_RUNTIME_CORE_FLOAT16_H
#define GPTQC_RUNTIME_CORE_FLOAT16_H

#include <bit>
#include <cstdint>

#include "runtime/core/Descriptor.h"

namespace gptqc {

/// IEEE 754 binary16 to float; exact.
inline float halfToFloat(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0x1f)
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) { // zero or subnormal: mantissa * 2^-24
    const float magnitude = float(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/// float to IEEE 754 binary16; overflow becomes infinity, NaN stays NaN.
inline uint16_t floatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return sign | 0x7e00;
  if (magnitude >= 0x477ff000u) // rounds to 65536 or more
    return sign | 0x7c00;
  if (magnitude < 0x38800000u) { // subnormal: adding 0.5 leaves the rounded value in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | uint16_t(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return sign | uint16_t((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

/// bfloat16 to float; exact.
inline float bfloatToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

/// float to bfloat16; NaN stays NaN.
inline uint16_t floatToBfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

inline float toFloat(uint16_t bits, DType type) {
  return type == DType::F16 ? halfToFloat(bits) : bfloatToFloat(bits);
}
inline uint16_t fromFloat(float value, DType type) {
  return type == DType::F16 ? floatToHalf(value) : floatToBfloat(value);
}

/// Half an ulp at 1: the unit roundoff of the format.
inline double unitRoundoff(DType type) { return type == DType::F16 ? 0x1p-11 : 0x1p-8; }

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_FLOAT16_H
