// Host version of ptx/cluster.cuh.
#ifndef GPTQC_TEMPLATES_PTX_CLUSTER_CUH
#define GPTQC_TEMPLATES_PTX_CLUSTER_CUH

#include "gptqc/ptx/mbarrier.cuh"

namespace gptqc {

inline u32 cluster_rank() { return sim::currentBlock().clusterRank; }
inline void cluster_arrive() { sim::clusterArrive(); }
inline void cluster_arrive_relaxed() { sim::clusterArriveRelaxed(); }
inline void cluster_wait() { sim::clusterWait(); }

struct __align__(16) cluster_f32x4 {
  float v[4];
};
inline void load_cluster_f32x4(float (&v)[4], const void *shared, u32 rank) {
  const auto *from = (const cluster_f32x4 *)sim::mapShared(const_cast<void *>(shared), rank);
  sim::touch(from, 16, false);
  for (int i = 0; i < 4; ++i)
    v[i] = from->v[i];
}

inline void store_cluster_async_f32x4(void *shared, mbarrier *barrier, u32 rank,
                                      const float (&v)[4]) {
  sim::storeAsync16(shared, v, mbarrier_word(barrier), rank);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_CLUSTER_CUH
