// Programmatic dependent launch (sm_90): a kernel may start before the one in front of it has
// ended. Without the launch attribute, and on older GPUs, both functions do nothing.
#ifndef GPTQC_TEMPLATES_PTX_GRIDDEP_CUH
#define GPTQC_TEMPLATES_PTX_GRIDDEP_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Waits until the kernels in front have ended; what they wrote is visible.
GPTQC_DEVICE void wait_for_predecessors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next kernel start once every block has called this or ended. Promises nothing about
/// memory.
GPTQC_DEVICE void launch_successors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_GRIDDEP_CUH
