// ModelKernels: templates/support/model.cu, loaded for the activation type and head size of a
// model.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_MODELKERNELS_H
#define GPTQC_RUNTIME_MODEL_CUDA_MODELKERNELS_H

#include <string_view>

#include "runtime/device/Cublas.h"
#include "runtime/device/Module.h"
#include "runtime/model/ModelConfig.h"
#include "runtime/model/cuda/ModelArgs.h"

namespace gptqc {

/// Weights of a norm on the GPU, fp32; empty where there are none.
struct CudaNorm {
  DeviceBuffer weight, bias;
};

/// Everything runs in stream order; one thread at a time. Matrices are 16-bit but for the residual.
class ModelKernels {
public:
  static constexpr std::string_view kFile = "support/model.cu";
  /// One of its entries, for who compiles it.
  static constexpr const char *kEntry = "loss";

  /// Unsupported for sizes that the kernels do not take; the CPU takes all.
  static Result<ModelKernels> load(const Device &device, const KernelImage &image,
                                   const ModelConfig &config, DType type);

  /// residual += delta, unless delta.data is 0; y = norm(residual), unless y.data is 0. The
  /// residual is fp32, [rows, hidden] without gaps.
  Status norm(CuDevicePtr residual, const DeviceMatrix &delta, const CudaNorm &weights,
              const DeviceMatrix &y, int64_t rows, const Stream &stream) const;

  /// Head norm and rotation of y [rows, heads * headDim] in place. `cosine`, `sine`: [length,
  /// headDim / 2], 0 for no rotation; row i is at position i % length.
  Status rotate(const DeviceMatrix &y, const DeviceBuffer &headNorm, CuDevicePtr cosine,
                CuDevicePtr sine, int64_t length, const Stream &stream) const;

  /// Causal attention of sequences, `length` rows of q each, which are the last of the sequence's
  /// rows of k and v. `window`: keys that a query sees; 0: all.
  Status attend(const DeviceMatrix &q, const DeviceMatrix &k, const DeviceMatrix &v,
                const DeviceMatrix &y, int64_t length, int64_t window, const Stream &stream) const;

  /// y = act(x), or act(gate) * x where gate.data is not 0.
  Status activate(const DeviceMatrix &gate, const DeviceMatrix &x, const DeviceMatrix &y,
                  const Stream &stream) const;

  /// y += bias (fp32).
  Status addBias(const DeviceBuffer &bias, const DeviceMatrix &y, const Stream &stream) const;

  /// losses[i] = -log softmax(logits[i])[targets[i]], 0 for a negative target. Logits fp32.
  Status loss(CuDevicePtr logits, int64_t rows, int64_t columns, CuDevicePtr targets,
              CuDevicePtr losses, const Stream &stream) const;

private:
  ModelArgs base() const;

  ModelConfig config;
  Function normKernel, rotateKernel, attendKernel, activateKernel, biasKernel, lossKernel;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_MODELKERNELS_H
