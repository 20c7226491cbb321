// Asynchronous 16-byte copies from global to shared memory (sm_80+). Before sm_80 the copy is a
// plain load and store, commit and wait do nothing, and the block barrier alone publishes the data.
#ifndef GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH
#define GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Copies 16 bytes from `source`, or fills the 16 bytes at `shared` with zero and does not read
/// `source`: `bytes` is 16 or 0. Both addresses are 16-byte aligned.
GPTQC_DEVICE void copy_async_16(void *shared, const void *source, int bytes) {
#if __CUDA_ARCH__ >= 800
  const u32 address = (u32)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(source),
               "r"(bytes)
               : "memory");
#else
  u32x4 value = {0, 0, 0, 0};
  if (bytes > 0)
    value = *(const u32x4 *)source;
  *(u32x4 *)shared = value;
#endif
}

/// Closes the group of copies started since the last commit.
GPTQC_DEVICE void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most `pending` of this thread's groups are in flight.
template <int pending> GPTQC_DEVICE void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH
