// Host version of ptx/half2.cuh: the same arithmetic, rounded once per operation.
#ifndef GPTQC_TEMPLATES_PTX_HALF2_CUH
#define GPTQC_TEMPLATES_PTX_HALF2_CUH

#include <cmath>

#include "gptqc/base.cuh"
#include "runtime/core/Float16.h"

namespace gptqc {

/// Applies op to both halves; doubles hold every f16/bf16 product plus addend exactly, so that the
/// conversion to float and on to 16 bits is the one rounding of a fused operation (the float step
/// is harmless: 24 bits >= 2 * 11 + 2).
template <typename Op> inline u32 each_half(u32 a, u32 b, u32 c, DType type, Op op) {
  u32 result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const double value =
        op(double(toFloat(u16(a >> shift), type)), double(toFloat(u16(b >> shift), type)),
           double(toFloat(u16(c >> shift), type)));
    result |= u32(fromFloat(float(value), type)) << shift;
  }
  return result;
}
inline u32 add_f16x2(u32 a, u32 b) {
  return each_half(a, b, 0, DType::F16, [](double x, double y, double) { return x + y; });
}
inline u32 mul_f16x2(u32 a, u32 b) {
  return each_half(a, b, 0, DType::F16, [](double x, double y, double) { return x * y; });
}
inline u32 fma_f16x2(u32 a, u32 b, u32 c) {
  return each_half(a, b, c, DType::F16, [](double x, double y, double z) { return x * y + z; });
}
inline u32 fma_bf16x2(u32 a, u32 b, u32 c) {
  return each_half(a, b, c, DType::BF16, [](double x, double y, double z) { return x * y + z; });
}
inline float f16_to_float(u16 bits) { return halfToFloat(bits); }
inline u16 float_to_f16(float value) { return floatToHalf(value); }
inline float exp_approx(float value) { return std::exp(value); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_HALF2_CUH
