// CudaForward: the blocks of a model on a GPU, 16-bit with fp32 sums and an fp32 residual stream.
// Dense layers run through cuBLAS, quantized ones through whatever the caller makes of them.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_CUDAFORWARD_H
#define GPTQC_RUNTIME_MODEL_CUDA_CUDAFORWARD_H

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/model/Model.h"
#include "runtime/model/cuda/CudaKvCache.h"
#include "runtime/model/cuda/ModelKernels.h"

namespace gptqc {

/// Y = X W + bias of a quantized layer, in stream order.
using CudaProduct = std::function<Status(const DeviceMatrix &x, const DeviceMatrix &y)>;
/// Takes a quantized layer to the GPU. Its products are asked for in the order of the stream.
using CudaQuantizedLayers = std::function<Result<CudaProduct>(const QuantizedMatrix &matrix)>;

/// A linear layer on the GPU; movable.
struct CudaLinear {
  int64_t n = 0, k = 0;  ///< 0: the model has none here
  DeviceBuffer weight;   ///< [N,K] 16-bit; empty when quantized
  DeviceBuffer bias;     ///< [N] fp32; empty: none
  CudaProduct quantized; ///< with its bias
};

/// The weights of a block on the GPU; movable.
struct CudaBlock {
  int64_t index = 0;
  std::array<CudaLinear, kRoles> linears;
  CudaNorm attentionNorm, mlpNorm;
  DeviceBuffer queryNorm, keyNorm;

  const CudaLinear &at(Role role) const { return linears[size_t(role)]; }
};

/// The final norm and the output layer on the GPU; movable.
struct CudaHead {
  CudaNorm norm;
  CudaLinear linear; ///< dense: [vocabulary, hidden]
};

/// The type of a tensor of such numbers.
ElementType elementTypeOf(DType type);

/// Buffers of a pass; kept from pass to pass.
struct CudaScratch {
  DeviceBuffer input, query, key, value, up, gate, delta;
};

/// One thread at a time; works in order of its stream.
class CudaForward {
public:
  /// The model must outlive this. `image`: ModelKernels::kFile, compiled. NotFound without cuBLAS;
  /// Unsupported for sizes that the kernels do not take. `cublas`: path of the library; empty:
  /// searched for.
  static Result<std::unique_ptr<CudaForward>> create(const Model &model, const Device &device,
                                                     const KernelImage &image,
                                                     const std::string &cublas = "");

  const Model &model() const { return *source; }
  const Stream &stream() const { return queue; }
  DType type() const { return activations; }

  /// Reads a block and takes it to the GPU. Without `quantized` its quantized layers become dense.
  Result<CudaBlock> loadBlock(int64_t index, int threads,
                              const CudaQuantizedLayers &quantized) const;
  /// Layers whose weights are codes go to `quantized`.
  Result<CudaBlock> upload(const Block &host, const CudaQuantizedLayers &quantized = nullptr) const;
  /// Dense weights; those of a layer may be replaced between passes.
  Result<CudaLinear> upload(const LinearWeights &weights) const;
  Result<CudaNorm> upload(const Norm &norm) const;
  Result<CudaHead> loadHead() const;

  /// y = x W^T + bias.
  Status apply(const CudaLinear &linear, const DeviceMatrix &x, const DeviceMatrix &y) const;

  /// fp32 logits of rows of the last block's residual stream; `x` holds what the output layer
  /// reads, [rows, hidden].
  Status logits(const CudaHead &head, CuDevicePtr residual, const DeviceMatrix &x,
                const DeviceMatrix &logits) const;

  const ModelKernels &kernels() const { return modelKernels; }
  const Cublas &blas() const { return *products; }

private:
  friend class CudaBlockPass;
  CudaForward(const Model &model, Stream stream)
      : source(&model), queue(std::move(stream)), activations(model.folder().activationType()) {}

  Status makeAngles(int64_t length);
  Result<DeviceMatrix> scratch(DeviceBuffer &buffer, int64_t rows, int64_t columns) const;
  Result<DeviceBuffer> upload16(const std::vector<float> &values) const;

  const Model *source;
  Stream queue;
  DType activations;
  ModelKernels modelKernels;
  std::optional<Cublas> products; ///< uses `queue`
  CudaScratch memory;
  DeviceBuffer cosine, sine; ///< of positions 0..anglesLength-1
  int64_t anglesLength = 0;
};

/// The stages of a block for some sequences, as BlockPass on the CPU: stage 0..3 are before key,
/// value and query; the attention's output; up and gate; down.
class CudaBlockPass {
public:
  /// `residual`: fp32 [rows, hidden] on the GPU, updated in place; rows are whole sequences of
  /// `length` tokens from position 0. With a cache they are one sequence, from its length on, and
  /// their keys and values are appended. begin() comes first.
  CudaBlockPass(CudaForward &forward, const CudaBlock &block, CuDevicePtr residual, int64_t rows,
                int64_t length, const CudaKvCache *cache = nullptr)
      : forward(forward), block(block), residual(residual), rows(rows), length(length),
        cache(cache) {}

  Status begin();
  bool done() const { return stage == kStages; }
  int currentStage() const { return stage; }
  /// What the readers of the stage read, 16-bit; valid until advance().
  const DeviceMatrix &input() const { return current; }
  Status advance();

private:
  struct KeysAndValues {
    DeviceMatrix newKeys, newValues; ///< of the rows of this pass
    DeviceMatrix keys, values;       ///< of all tokens that they see
  };
  Result<DeviceMatrix> applyRole(Role role, DeviceBuffer &buffer);
  Result<KeysAndValues> placeKeys();
  Status attend();
  Status joinAndNormalize(Role role, const CudaNorm *norm);

  CudaForward &forward;
  const CudaBlock &block;
  CuDevicePtr residual;
  int64_t rows, length;
  const CudaKvCache *cache;
  int stage = 0;
  DeviceMatrix current;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_CUDAFORWARD_H
