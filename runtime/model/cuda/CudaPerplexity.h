// Perplexity on a GPU.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_CUDAPERPLEXITY_H
#define GPTQC_RUNTIME_MODEL_CUDA_CUDAPERPLEXITY_H

#include "runtime/model/Perplexity.h"
#include "runtime/model/cuda/CudaForward.h"

namespace gptqc {

/// As perplexityOf on the CPU. All rows go through a block before the next one is read, in parts
/// whose residual stream takes `activationBytes` on the GPU.
Result<Perplexity> cudaPerplexityOf(CudaForward &forward, const TokenRows &rows, int threads,
                                    const CudaQuantizedLayers &quantized,
                                    const BlockProgress &progress = nullptr,
                                    int64_t activationBytes = int64_t(4) << 30);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_CUDAPERPLEXITY_H
