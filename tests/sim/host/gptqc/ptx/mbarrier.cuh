// Host version of ptx/mbarrier.cuh.
#ifndef GPTQC_TEMPLATES_PTX_MBARRIER_CUH
#define GPTQC_TEMPLATES_PTX_MBARRIER_CUH

#include "gptqc/base.cuh"

namespace gptqc {

typedef u64 mbarrier;

inline uint64_t *mbarrier_word(mbarrier *barrier) { return (uint64_t *)barrier; }

inline void mbarrier_init(mbarrier *barrier, u32 arrivals) {
  sim::mbarrierInit(mbarrier_word(barrier), arrivals);
}
inline void mbarrier_fence_init() { sim::fenceMbarrierInit(); }
inline void mbarrier_arrive(mbarrier *barrier) { sim::mbarrierArrive(mbarrier_word(barrier)); }
inline void mbarrier_arrive_at(mbarrier *barrier, u32 rank) {
  sim::mbarrierArrive((uint64_t *)sim::mapShared(barrier, rank));
}
inline void mbarrier_arrive_expect(mbarrier *barrier, u32 bytes) {
  sim::mbarrierArrive(mbarrier_word(barrier), bytes);
}
inline void mbarrier_wait(mbarrier *barrier, u32 parity) {
  sim::mbarrierWait(mbarrier_word(barrier), parity);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_MBARRIER_CUH
