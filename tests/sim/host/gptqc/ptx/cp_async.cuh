// Host version of ptx/cp_async.cuh: copies land when the thread has waited for their group.
#ifndef GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH
#define GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void copy_async_16(void *shared, const void *source, int bytes) {
  sim::copyAsync16(shared, source, bytes);
#if __CUDA_ARCH__ < 800
  sim::commitCopies();
  sim::waitCopies(0); // a plain load and store
#endif
}
inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  sim::commitCopies();
#endif
}
template <int pending> inline void wait_copies() {
#if __CUDA_ARCH__ >= 800
  sim::waitCopies(pending);
#endif
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_CP_ASYNC_CUH
