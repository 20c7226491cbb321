// Host version of ptx/atomic.cuh: blocks run one after the other, so plain accesses are atomic.
#ifndef GPTQC_TEMPLATES_PTX_ATOMIC_CUH
#define GPTQC_TEMPLATES_PTX_ATOMIC_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline u32 count_in(u32 *counter) {
  sim::touch(counter, 4, true);
  return (*counter)++;
}
inline void fence_device() {}
inline float load_uncached(const float *address) {
  sim::touch(address, 4, false);
  return *address;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_ATOMIC_CUH
