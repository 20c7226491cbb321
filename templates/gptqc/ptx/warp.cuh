// What a warp shares: its barrier, and values by shuffles.
#ifndef GPTQC_TEMPLATES_PTX_WARP_CUH
#define GPTQC_TEMPLATES_PTX_WARP_CUH

namespace gptqc {

/// Waits for all lanes of the warp and orders their memory accesses.
static __device__ __forceinline__ void warp_barrier() { __syncwarp(); }

/// The value of the lane whose number differs in the bits of `mask`.
static __device__ __forceinline__ float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
static __device__ __forceinline__ int shuffle_xor(int value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

/// The value of lane `lane`.
static __device__ __forceinline__ float shuffle(float value, int lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}

/// The value, in a register: what the compiler knows of it ends here, so that it neither takes a
/// sum apart nor computes it again where it is used.
GPTQC_DEVICE int opaque(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WARP_CUH
