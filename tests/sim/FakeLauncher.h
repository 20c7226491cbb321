// A GPU without one: the fake driver, whose memory is the host's, with the kernels of model.cu and
// solver.cu on the simulated GPU, and libraries of loops.
#ifndef GPTQC_TESTS_SIM_FAKELAUNCHER_H
#define GPTQC_TESTS_SIM_FAKELAUNCHER_H

#include <string>

#include "runtime/core/KernelImage.h"
#include "runtime/model/TokenFile.h"
#include "tests/runtime/device/FakeDevice.h"

namespace gptqc::sim {

/// Runs the launches of its test, which fails where one was not clean.
class SimulatedDevice : public FakeDevice {
protected:
  void SetUp() override;
  void TearDown() override;
};

/// Of ModelKernels and of CudaSolver.
KernelImage modelImage();
KernelImage solverImage();

/// Ids below 64.
TokenRows someRows(int64_t rows, int64_t length);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_FAKELAUNCHER_H
