// Host version of ptx/prefetch.cuh: there are no caches.
#ifndef GPTQC_TEMPLATES_PTX_PREFETCH_CUH
#define GPTQC_TEMPLATES_PTX_PREFETCH_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void prefetch_l2(const void *) {}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_PREFETCH_CUH
