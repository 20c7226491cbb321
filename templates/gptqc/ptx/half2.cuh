// Packed 16-bit arithmetic, one instruction per function, on raw 32-bit registers.
#ifndef GPTQC_TEMPLATES_PTX_HALF2_CUH
#define GPTQC_TEMPLATES_PTX_HALF2_CUH

#include "gptqc/base.cuh"

namespace gptqc {

GPTQC_DEVICE u32 add_f16x2(u32 a, u32 b) {
  u32 d;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
GPTQC_DEVICE u32 mul_f16x2(u32 a, u32 b) {
  u32 d;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
GPTQC_DEVICE u32 fma_f16x2(u32 a, u32 b, u32 c) {
  u32 d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
#if __CUDA_ARCH__ >= 800
GPTQC_DEVICE u32 fma_bf16x2(u32 a, u32 b, u32 c) {
  u32 d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
#endif

GPTQC_DEVICE float f16_to_float(u16 bits) {
  float d;
  asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(bits));
  return d;
}
GPTQC_DEVICE u16 float_to_f16(float value) {
  u16 d;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(d) : "f"(value));
  return d;
}
/// exp(value), about 2 ulp; from ex2.approx.
GPTQC_DEVICE float exp_approx(float value) {
  float d;
  asm("ex2.approx.f32 %0, %1;" : "=f"(d) : "f"(value * 1.4426950408889634f));
  return d;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_HALF2_CUH
