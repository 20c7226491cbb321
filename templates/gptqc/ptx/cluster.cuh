// What the blocks of a cluster share (sm_90): their ranks, a barrier, and each other's shared
// memory.
#ifndef GPTQC_TEMPLATES_PTX_CLUSTER_CUH
#define GPTQC_TEMPLATES_PTX_CLUSTER_CUH

#include "gptqc/ptx/mbarrier.cuh"

namespace gptqc {

/// This block's rank in its cluster; 0 in a launch without clusters.
GPTQC_DEVICE u32 cluster_rank() {
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// Arrives at the barrier of the cluster: each thread of each block arrives once, then waits once.
/// Releases this thread's earlier accesses to global memory and to the cluster's shared memory.
GPTQC_DEVICE void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
/// Arrives without releasing anything: for keeping blocks alive, or behind a fence. Much cheaper
/// when stores to global memory are in flight.
GPTQC_DEVICE void cluster_arrive_relaxed() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
/// Waits for all threads of the cluster to have arrived, and acquires what they released.
GPTQC_DEVICE void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/// Loads 16 bytes from the address that `shared` (16-byte aligned) has in block `rank` of the
/// cluster; that block must not have ended.
GPTQC_DEVICE void load_cluster_f32x4(float (&v)[4], const void *shared, u32 rank) {
  asm volatile("{\n.reg .b32 remote;\n"
               "mapa.shared::cluster.u32 remote, %4, %5;\n"
               "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [remote];\n}"
               : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3])
               : "r"((u32)__cvta_generic_to_shared(shared)), "r"(rank)
               : "memory");
}

/// Stores 16 bytes there without waiting for anything: they complete on the mbarrier that lies at
/// `barrier` in that block, and who waits for its phase sees them.
GPTQC_DEVICE void store_cluster_async_f32x4(void *shared, mbarrier *barrier, u32 rank,
                                            const float (&v)[4]) {
  asm volatile("{\n.reg .b32 remote, completes;\n"
               "mapa.shared::cluster.u32 remote, %0, %2;\n"
               "mapa.shared::cluster.u32 completes, %1, %2;\n"
               "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [remote], {%3, "
               "%4, %5, %6}, "
               "[completes];\n}" ::"r"((u32)__cvta_generic_to_shared(shared)),
               "r"((u32)__cvta_generic_to_shared(barrier)), "r"(rank), "f"(v[0]), "f"(v[1]),
               "f"(v[2]), "f"(v[3])
               : "memory");
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_CLUSTER_CUH
