// Host version of ptx/griddep.cuh.
#ifndef GPTQC_TEMPLATES_PTX_GRIDDEP_CUH
#define GPTQC_TEMPLATES_PTX_GRIDDEP_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void wait_for_predecessors() { sim::gridWait(); }
inline void launch_successors() { sim::gridLaunchDependents(); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_GRIDDEP_CUH
