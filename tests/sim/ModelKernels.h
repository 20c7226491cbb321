// The kernels of templates/support/model.cu, for the simulated GPU.
#ifndef GPTQC_TESTS_SIM_MODELKERNELS_H
#define GPTQC_TESTS_SIM_MODELKERNELS_H

#include <string_view>

#include "runtime/model/cuda/ModelArgs.h"

namespace gptqc::sim {

using ModelKernel = void (*)(ModelArgs);

/// By the name that the driver would find it with; null for an unknown one.
ModelKernel findModelKernel(std::string_view entry);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MODELKERNELS_H
