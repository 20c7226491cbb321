// The rule of kernels that may start before the one in front of them has ended: nothing that
// another kernel writes (X, Y, the workspace) is touched before the wait, and the next kernel is
// let go behind it. Weights may be read before.
#ifndef GPTQC_TEMPLATES_PREDECESSORS_CUH
#define GPTQC_TEMPLATES_PREDECESSORS_CUH

#include "gptqc/ptx/griddep.cuh"

namespace gptqc {

/// Called by a thread in front of its first access to X, Y and the workspace, or of a barrier that
/// its block passes behind such a call.
GPTQC_DEVICE void await_predecessors() {
  wait_for_predecessors();
  launch_successors();
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PREDECESSORS_CUH
