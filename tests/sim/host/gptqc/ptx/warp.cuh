// Host version of ptx/warp.cuh.
#ifndef GPTQC_TEMPLATES_PTX_WARP_CUH
#define GPTQC_TEMPLATES_PTX_WARP_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void warp_barrier() { sim::warpBarrier(); }
inline unsigned broadcast_lane0(unsigned value) { return sim::broadcastLane0(value); }

inline float shuffle_xor(float value, int mask) {
  return __uint_as_float(sim::shuffleXor(__float_as_uint(value), mask));
}
inline int shuffle_xor(int value, int mask) { return (int)sim::shuffleXor((unsigned)value, mask); }
inline float shuffle(float value, int lane) {
  return __uint_as_float(sim::shuffle(__float_as_uint(value), lane));
}

inline int opaque(int value) { return value; }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WARP_CUH
