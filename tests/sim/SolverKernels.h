// The kernels of templates/support/solver.cu, for the simulated GPU.
#ifndef GPTQC_TESTS_SIM_SOLVERKERNELS_H
#define GPTQC_TESTS_SIM_SOLVERKERNELS_H

#include <string_view>

#include "runtime/solver/cuda/SolverArgs.h"

namespace gptqc::sim {

using SolverKernel = void (*)(SolverArgs);

/// By the name that the driver would find it with; null for an unknown one.
SolverKernel findSolverKernel(std::string_view entry);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_SOLVERKERNELS_H
