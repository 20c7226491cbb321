// Names of the kernels in ModelKernels.cpp and SolverKernels.cpp, whose parameter is ModelArgs or
// SolverArgs to the host.
#include "tests/sim/KernelTable.h"

#include <span>

#define MODEL_KERNELS(X)                                                                           \
  X(norm_f16)                                                                                      \
  X(norm_bf16)                                                                                     \
  X(rotate_f16)                                                                                    \
  X(rotate_bf16)                                                                                   \
  X(activate_f16)                                                                                  \
  X(activate_bf16)                                                                                 \
  X(bias_f16)                                                                                      \
  X(bias_bf16)                                                                                     \
  X(attend64_f16)                                                                                  \
  X(attend64_bf16)                                                                                 \
  X(attend128_f16)                                                                                 \
  X(attend128_bf16)                                                                                \
  X(attend256_f16)                                                                                 \
  X(attend256_bf16)                                                                                \
  X(loss)

#define SOLVER_KERNELS(X)                                                                          \
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

#define DECLARE_MODEL(name) extern "C" void name(gptqc::ModelArgs);
#define DECLARE_SOLVER(name) extern "C" void name(gptqc::SolverArgs);
// NOLINTBEGIN(readability-identifier-naming): the names are the device's
MODEL_KERNELS(DECLARE_MODEL)
SOLVER_KERNELS(DECLARE_SOLVER)
// NOLINTEND(readability-identifier-naming)

namespace gptqc::sim {

namespace {

template <typename Args> struct Named {
  std::string_view name;
  SupportKernel<Args> kernel;
};

template <typename Args>
SupportKernel<Args> find(std::span<const Named<Args>> table, std::string_view entry) {
  for (const auto &[name, kernel] : table)
    if (name == entry)
      return kernel;
  return nullptr;
}

} // namespace

#define NAMED(name) {#name, name},

ModelKernel findModelKernel(std::string_view entry) {
  static constexpr Named<ModelArgs> kTable[] = {MODEL_KERNELS(NAMED)};
  return find<ModelArgs>(kTable, entry);
}

SolverKernel findSolverKernel(std::string_view entry) {
  static constexpr Named<SolverArgs> kTable[] = {SOLVER_KERNELS(NAMED)};
  return find<SolverArgs>(kTable, entry);
}

} // namespace gptqc::sim
