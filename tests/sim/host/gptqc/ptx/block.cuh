// Host version of ptx/block.cuh.
#ifndef GPTQC_TEMPLATES_PTX_BLOCK_CUH
#define GPTQC_TEMPLATES_PTX_BLOCK_CUH

#define GPTQC_SHARED_MEMORY(name) unsigned char *const name = gptqc::sim::sharedMemory()

namespace gptqc {

inline void block_barrier() { sim::blockBarrier(); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_BLOCK_CUH
