// The GPU that `solve` and `quantize` can use for the solver.
#ifndef GPTQC_CLI_SOLVERDEVICE_H
#define GPTQC_CLI_SOLVERDEVICE_H

#include <memory>
#include <string>

#include "runtime/solver/quantize/Calibration.h"

namespace gptqc::cli {

/// A GPU with the solver's kernels; one thread at a time.
class SolverDevice {
public:
  virtual ~SolverDevice() = default;
  /// E.g. "NVIDIA H200 (sm_90a h200 sms132), driver for CUDA 13.0".
  virtual std::string describe() const = 0;
  /// Solves one layer; `times` says how long its steps took on the device.
  virtual Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                                      const Hessian &hessian, const SolverOptions &options,
                                      std::string &times) = 0;
  /// A model's forward pass and its layers on the GPU. Borrows this.
  virtual Result<CalibrationFactory> calibration() = 0;
};

/// DeviceError without a usable GPU; Unsupported in a build without the compiler.
Result<std::unique_ptr<SolverDevice>> openSolverDevice();

} // namespace gptqc::cli

#endif // GPTQC_CLI_SOLVERDEVICE_H
