// The kernels of templates/support/model.cu and solver.cu, for the simulated GPU.
#ifndef GPTQC_TESTS_SIM_KERNELTABLE_H
#define GPTQC_TESTS_SIM_KERNELTABLE_H

#include <string_view>

#include "runtime/model/cuda/ModelArgs.h"
#include "runtime/solver/cuda/SolverArgs.h"

namespace gptqc::sim {

template <typename Args> using SupportKernel = void (*)(Args);
using ModelKernel = SupportKernel<ModelArgs>;
using SolverKernel = SupportKernel<SolverArgs>;

/// By the name that the driver would find it with; null for an unknown one.
ModelKernel findModelKernel(std::string_view entry);
SolverKernel findSolverKernel(std::string_view entry);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_KERNELTABLE_H
