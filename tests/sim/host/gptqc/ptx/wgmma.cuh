// Host version of ptx/wgmma.cuh.
#ifndef GPTQC_TEMPLATES_PTX_WGMMA_CUH
#define GPTQC_TEMPLATES_PTX_WGMMA_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline u64 wgmma_descriptor(const void *shared) {
  const u64 address = sim::sharedAddress(shared);
  return (address >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}
inline void wgmma_fence() { sim::wgmmaFence(); }
inline void wgmma_commit() { sim::wgmmaCommit(); }
template <int pending> inline void wgmma_wait() { sim::wgmmaWait(pending); }
template <int count> inline void wgmma_pin(float (&)[count]) {}

template <int n>
inline void wgmma_f16(float (&d)[n / 2], const u32 (&a)[4], u64 descriptor, bool accumulate) {
  sim::wgmma({d, n, a, descriptor, accumulate, false});
}
template <int n>
inline void wgmma_bf16(float (&d)[n / 2], const u32 (&a)[4], u64 descriptor, bool accumulate) {
  sim::wgmma({d, n, a, descriptor, accumulate, true});
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WGMMA_CUH
