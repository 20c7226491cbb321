// Text generation on a GPU.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_CUDASEQUENCE_H
#define GPTQC_RUNTIME_MODEL_CUDA_CUDASEQUENCE_H

#include "runtime/model/Generate.h"
#include "runtime/model/cuda/CudaForward.h"

namespace gptqc {

/// A sequence whose model, keys and values are all on the GPU, 16-bit: memory is taken here and in
/// the first append of each size, none later. Borrows `forward`, which serves one sequence at a
/// time. DeviceError where it does not fit.
Result<std::unique_ptr<Sequence>> makeCudaSequence(CudaForward &forward, const SequencePlan &plan,
                                                   int threads,
                                                   const CudaQuantizedLayers &quantized);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_CUDASEQUENCE_H
