// What a warp shares: its barrier.
#ifndef GPTQC_TEMPLATES_PTX_WARP_CUH
#define GPTQC_TEMPLATES_PTX_WARP_CUH

namespace gptqc {

/// Waits for all lanes of the warp and orders their memory accesses.
static __device__ __forceinline__ void warp_barrier() { __syncwarp(); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WARP_CUH
