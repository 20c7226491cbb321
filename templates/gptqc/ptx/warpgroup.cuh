// Warpgroups (sm_90a): how registers are shared between them, and barriers of part of a block.
#ifndef GPTQC_TEMPLATES_PTX_WARPGROUP_CUH
#define GPTQC_TEMPLATES_PTX_WARPGROUP_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Which four warps of the block this thread belongs to; the same value in all lanes of a warp, as
/// the compiler can see.
GPTQC_DEVICE int warpgroup_id() { return __shfl_sync(0xffffffffu, (int)(threadIdx.x >> 7), 0); }

/// Raises the registers of a thread to `count` (a multiple of 8), waiting for others to give theirs
/// up. All warps of a warpgroup do it; the kernel has a register cap at entry.
template <int count> GPTQC_DEVICE void raise_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
/// Gives registers above `count` up.
template <int count> GPTQC_DEVICE void lower_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

/// Waits until `threads` threads (whole warps) have arrived at or wait for barrier `id` (1..15; 0
/// is the block's), and orders their memory accesses.
GPTQC_DEVICE void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
/// Arrives without waiting.
GPTQC_DEVICE void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WARPGROUP_CUH
