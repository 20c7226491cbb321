// What a block shares: its dynamic shared memory and its barrier.
#ifndef GPTQC_TEMPLATES_PTX_BLOCK_CUH
#define GPTQC_TEMPLATES_PTX_BLOCK_CUH

/// Declares `name` as the block's dynamic shared memory, 1024-byte aligned.
#define GPTQC_SHARED_MEMORY(name) extern __shared__ __align__(1024) unsigned char name[]

namespace gptqc {

/// Waits for all threads of the block and orders their memory accesses.
static __device__ __forceinline__ void block_barrier() { __syncthreads(); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_BLOCK_CUH
