// Calibration on a GPU.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H

#include "runtime/model/cuda/CudaForward.h"
#include "runtime/solver/quantize/Calibration.h"

namespace gptqc {

/// The residual stream of all rows stays on the GPU in fp32; inputs of layers are 16-bit, products
/// and Hessians summed in fp32. `image` is that of ModelKernels; `cublas` as CudaForward::create.
CalibrationFactory cudaCalibration(const Device &device, const KernelImage &image,
                                   const std::string &cublas = "");

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_CUDA_CUDACALIBRATION_H
