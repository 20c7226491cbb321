// Host version of ptx/warpgroup.cuh.
#ifndef GPTQC_TEMPLATES_PTX_WARPGROUP_CUH
#define GPTQC_TEMPLATES_PTX_WARPGROUP_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline int warpgroup_id() { return (int)(threadIdx.x >> 7); }
template <int count> inline void raise_registers() { sim::setMaxRegisters(count); }
template <int count> inline void lower_registers() { sim::setMaxRegisters(count); }
inline void named_barrier_sync(int id, int threads) { sim::namedBarrier(id, threads); }
inline void named_barrier_arrive(int id, int threads) { sim::namedArrive(id, threads); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WARPGROUP_CUH
