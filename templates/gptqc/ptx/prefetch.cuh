// Hints about data that will be read.
#ifndef GPTQC_TEMPLATES_PTX_PREFETCH_CUH
#define GPTQC_TEMPLATES_PTX_PREFETCH_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Starts to bring the cache line of a global address into L2.
GPTQC_DEVICE void prefetch_l2(const void *address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_PREFETCH_CUH
