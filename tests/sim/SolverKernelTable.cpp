// Names of the kernels in SolverKernels.cpp, whose parameter is SolverArgs to the host.
#include "tests/sim/SolverKernels.h"

#define KERNELS(X)                                                                                 \
  X(hessian_diagonal)                                                                              \
  X(reverse_hessian)                                                                               \
  X(damp_hessian)                                                                                  \
  X(reverse_memory)                                                                                \
  X(gather_weights)                                                                                \
  X(take_samples)                                                                                  \
  X(find_grids)                                                                                    \
  X(quantize_columns)                                                                              \
  X(round_samples)                                                                                 \
  X(sample_power)                                                                                  \
  X(write_quantized)

#define DECLARE(name) extern "C" void name(gptqc::SolverArgs);
KERNELS(DECLARE) // NOLINT(readability-identifier-naming): the names are the device's

namespace gptqc::sim {

SolverKernel findSolverKernel(std::string_view entry) {
#define FIND(name)                                                                                 \
  if (entry == #name)                                                                              \
    return name;
  KERNELS(FIND)
  return nullptr;
}

} // namespace gptqc::sim
