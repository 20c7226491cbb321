// Names of the kernels in ModelKernels.cpp, whose parameter is ModelArgs to the host.
#include "tests/sim/ModelKernels.h"

#define KERNELS(X)                                                                                 \
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

#define DECLARE(name) extern "C" void name(gptqc::ModelArgs);
KERNELS(DECLARE) // NOLINT(readability-identifier-naming): the names are the device's

namespace gptqc::sim {

ModelKernel findModelKernel(std::string_view entry) {
#define FIND(name)                                                                                 \
  if (entry == #name)                                                                              \
    return name;
  KERNELS(FIND)
  return nullptr;
}

} // namespace gptqc::sim
