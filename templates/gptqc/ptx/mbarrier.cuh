// mbarriers (sm_80+; what counts bytes or spans a cluster: sm_90): shared-memory barriers that
// count arrivals of threads and bytes of asynchronous copies.
#ifndef GPTQC_TEMPLATES_PTX_MBARRIER_CUH
#define GPTQC_TEMPLATES_PTX_MBARRIER_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// One barrier, in shared memory. A phase completes when its arrivals are all in and the bytes
/// announced for it have landed; then the next phase begins with the same number of arrivals. The
/// phases have parities 0, 1, 0, ...
typedef u64 mbarrier;

/// Makes a barrier whose phases need `arrivals` arrivals. One thread does it; a block (or cluster)
/// barrier must follow before anybody uses it, behind mbarrier_fence_init where the copy engine
/// does or where the cluster's barrier releases nothing.
GPTQC_DEVICE void mbarrier_init(mbarrier *barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"((u32)__cvta_generic_to_shared(barrier)),
               "r"(arrivals)
               : "memory");
}

/// Publishes this thread's mbarrier_init to the cluster and to the copy engine.
GPTQC_DEVICE void mbarrier_fence_init() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// One arrival. This thread's earlier accesses to shared memory happen before what any waiter of
/// the phase does next (release, block scope).
GPTQC_DEVICE void mbarrier_arrive(mbarrier *barrier) {
  asm volatile(
      "{\n.reg .b64 state;\n"
      "mbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"((u32)__cvta_generic_to_shared(barrier))
      : "memory");
}

/// One arrival at the barrier that lies at the same address in block `rank` of the cluster
/// (release, cluster scope); the own block's rank is allowed.
GPTQC_DEVICE void mbarrier_arrive_at(mbarrier *barrier, u32 rank) {
  asm volatile("{\n.reg .b32 remote;\n"
               "mapa.shared::cluster.u32 remote, %0, %1;\n"
               "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(
                   (u32)__cvta_generic_to_shared(barrier)),
               "r"(rank)
               : "memory");
}

/// One arrival, and the phase now also waits for `bytes` bytes of copies. Copies may land before
/// it.
GPTQC_DEVICE void mbarrier_arrive_expect(mbarrier *barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                   (u32)__cvta_generic_to_shared(barrier)),
               "r"(bytes)
               : "memory");
}

/// Waits until the phase of parity `parity` has completed: at once when the barrier is in a phase
/// of the other parity. (So a wait for parity 1 on a fresh barrier returns.) What the arriving
/// threads and the copies of the phase wrote is visible afterwards (acquire, block scope).
GPTQC_DEVICE void mbarrier_wait(mbarrier *barrier, u32 parity) {
#if __CUDA_ARCH__ < 900 // no try_wait, which sleeps
  asm volatile("{\n.reg .pred done;\n"
               "retry_%=:\n"
               "mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
               "@!done bra retry_%=;\n}" ::"r"((u32)__cvta_generic_to_shared(barrier)),
               "r"(parity)
               : "memory");
#else
  asm volatile("{\n.reg .pred done;\n"
               "retry_%=:\n"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
               "@done bra finish_%=;\n"
               "bra retry_%=;\n"
               "finish_%=:\n}" ::"r"((u32)__cvta_generic_to_shared(barrier)),
               "r"(parity)
               : "memory");
#endif
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_MBARRIER_CUH
