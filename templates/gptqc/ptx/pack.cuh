// Two floats to a pair of 16-bit floats in one instruction, rounding to nearest even (sm_80+).
#ifndef GPTQC_TEMPLATES_PTX_PACK_CUH
#define GPTQC_TEMPLATES_PTX_PACK_CUH

#include "gptqc/base.cuh"

namespace gptqc {

GPTQC_DEVICE u32 pack_f16x2(float low, float high) {
  u32 d;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}
GPTQC_DEVICE u32 pack_bf16x2(float low, float high) {
  u32 d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_PACK_CUH
