// The one atomic of split-K: blocks that finish a tile count themselves in.
#ifndef GPTQC_TEMPLATES_PTX_ATOMIC_CUH
#define GPTQC_TEMPLATES_PTX_ATOMIC_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Adds 1 and returns the old value; device scope, relaxed (fence on both sides).
GPTQC_DEVICE u32 count_in(u32 *counter) { return atomicAdd(counter, 1u); }

/// Orders this thread's earlier global writes before its later ones for the whole device.
GPTQC_DEVICE void fence_device() { __threadfence(); }

/// A load that bypasses L1: other blocks wrote this data during this launch.
GPTQC_DEVICE float load_uncached(const float *address) { return __ldcg(address); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_ATOMIC_CUH
