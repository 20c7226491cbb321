// Host version of ptx/atomic.cuh.
#ifndef GPTQC_TEMPLATES_PTX_ATOMIC_CUH
#define GPTQC_TEMPLATES_PTX_ATOMIC_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline u32 count_in(u32 *counter, u32 amount = 1) { return sim::atomicAdd(counter, amount); }
inline void fence_device() { sim::fenceDevice(); }
inline float load_uncached(const float *address) { return *address; }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_ATOMIC_CUH
