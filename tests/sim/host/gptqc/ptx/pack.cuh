// Host version of ptx/pack.cuh.
#ifndef GPTQC_TEMPLATES_PTX_PACK_CUH
#define GPTQC_TEMPLATES_PTX_PACK_CUH

#include "gptqc/base.cuh"
#include "runtime/core/Float16.h"

namespace gptqc {

inline u32 pack_f16x2(float low, float high) {
  return fromFloat(low, DType::F16) | (u32)fromFloat(high, DType::F16) << 16;
}
inline u32 pack_bf16x2(float low, float high) {
  return fromFloat(low, DType::BF16) | (u32)fromFloat(high, DType::BF16) << 16;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_PACK_CUH
