// Host version of ptx/mma.cuh.
#ifndef GPTQC_TEMPLATES_PTX_MMA_CUH
#define GPTQC_TEMPLATES_PTX_MMA_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { sim::mmaF16({d, a, b}); }
inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  sim::mmaBf16({d, a, b});
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_MMA_CUH
