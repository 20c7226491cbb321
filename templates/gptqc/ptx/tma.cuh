// The copy engine (sm_90): bulk copies between global and shared memory, plain or through a tensor
// map, completing on an mbarrier (loads) or in groups (stores). One thread issues a copy.
#ifndef GPTQC_TEMPLATES_PTX_TMA_CUH
#define GPTQC_TEMPLATES_PTX_TMA_CUH

#include "gptqc/ptx/mbarrier.cuh"

namespace gptqc {

/// A CUtensorMap, opaque: a __grid_constant__ kernel parameter.
struct __align__(64) tensor_map {
  u64 opaque[16];
};

/// Fetches the map itself ahead of its first use. No effect on results.
GPTQC_DEVICE void tma_prefetch_map(const tensor_map &map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// Starts a copy of `bytes` bytes (a multiple of 16) from global to shared memory, both 16-byte
/// aligned; counts as `bytes` bytes on `barrier`. The data is visible to who waited for that phase.
GPTQC_DEVICE void bulk_load(void *shared, const void *global, u32 bytes, mbarrier *barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
               "[%3];" ::"r"((u32)__cvta_generic_to_shared(shared)),
               "l"(global), "r"(bytes), "r"((u32)__cvta_generic_to_shared(barrier))
               : "memory");
}

/// Starts a copy of the map's box whose first element is (x, y), x along the contiguous dimension,
/// to `shared` (1024-byte aligned for the 128-byte swizzle, which permutes the 16-byte pieces p of
/// 128-byte row r to p ^ (r & 7)). Elements outside the tensor become zero; coordinates may lie
/// outside. Counts as the whole box on `barrier`, whatever part lies outside.
GPTQC_DEVICE void tma_load_2d(void *shared, const tensor_map &map, int x, int y,
                              mbarrier *barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
               "[%1, {%2, %3}], [%4];" ::"r"((u32)__cvta_generic_to_shared(shared)),
               "l"(&map), "r"(x), "r"(y), "r"((u32)__cvta_generic_to_shared(barrier))
               : "memory");
}

/// The same into every block of the cluster whose bit (1 << rank) is in `blocks`, at the same
/// address in each; each block's barrier at the address of `barrier` counts the whole box.
GPTQC_DEVICE void tma_load_2d_multicast(void *shared, const tensor_map &map, int x, int y,
                                        mbarrier *barrier, u16 blocks) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
               ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(
                   (u32)__cvta_generic_to_shared(shared)),
               "l"(&map), "r"(x), "r"(y), "r"((u32)__cvta_generic_to_shared(barrier)), "h"(blocks)
               : "memory");
}

/// Starts a copy of the map's box from `shared` to the tensor at (x, y); what lies outside the
/// tensor is not written. The writer of the shared data has called fence_proxy_async and a barrier
/// orders it before.
GPTQC_DEVICE void tma_store_2d(const tensor_map &map, const void *shared, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map),
      "r"(x), "r"(y), "r"((u32)__cvta_generic_to_shared(shared))
      : "memory");
}

/// Closes the group of stores that this thread started since the last commit.
GPTQC_DEVICE void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

/// Waits until at most `pending` of this thread's groups of stores still read shared memory: the
/// others' buffers may be written again.
template <int pending> GPTQC_DEVICE void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}

/// Makes this thread's earlier writes to shared memory visible to the copy engine and the tensor
/// cores (once a barrier has ordered them before the use).
GPTQC_DEVICE void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_TMA_CUH
