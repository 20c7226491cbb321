// Calibration on a GPU.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H

#include "runtime/model/cuda/CudaForward.h"
#include "runtime/solver/cuda/CudaSolver.h"
#include "runtime/solver/quantize/Calibration.h"

namespace gptqc {

/// Weights, Hessians, factors and, where it fits, the residual stream stay on the GPU; the host
/// gets codes, scales and zero points. The residual stream is fp32; inputs of layers are 16-bit,
/// products and Hessians summed in fp32. `image` is that of ModelKernels; `cublas` as
/// CudaForward::create. Borrows the solver, which is on the same GPU.
CalibrationFactory cudaCalibration(CudaSolver &solver, const Device &device,
                                   const KernelImage &image, const std::string &cublas = "");

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H
