// Loads of data that is read once: through the read-only path, not kept in L1.
#ifndef GPTQC_TEMPLATES_PTX_LOAD_STREAMING_CUH
#define GPTQC_TEMPLATES_PTX_LOAD_STREAMING_CUH

#include "gptqc/base.cuh"

namespace gptqc {

GPTQC_DEVICE u32x4 load_streaming(const u32x4 *address) {
  u32x4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(address));
  return v;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LOAD_STREAMING_CUH
