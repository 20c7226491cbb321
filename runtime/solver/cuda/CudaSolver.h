// GPTQ on one layer on a GPU: the same steps as on the CPU, with the same options. Weights and
// Hessians may be on the GPU already, and stay there.
#ifndef GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H
#define GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H

#include <string_view>

#include "runtime/core/SafeTensors.h"
#include "runtime/device/Cublas.h"
#include "runtime/device/Module.h"
#include "runtime/solver/Solve.h"
#include "runtime/solver/cuda/CudaMath.h"
#include "runtime/solver/cuda/SolverArgs.h"

namespace gptqc {

/// H on the GPU, borrowed.
struct CudaHessian {
  int64_t k = 0;
  CuDevicePtr values = 0; ///< [K,K] float, of which the lower triangle counts
  float scale = 1;        ///< of the values
};

/// W [N,K] on the GPU without gaps, F32, F16 or BF16; borrowed.
struct CudaWeights {
  CuDevicePtr data = 0;
  int64_t n = 0, k = 0;
  ElementType type = ElementType::F16;
};

/// The factor of one Hessian on the GPU; movable.
struct CudaFactor {
  Factor facts;       ///< all but `upper`
  DeviceBuffer upper; ///< [K,K]
  DeviceBuffer column, group, byGroup, starts, diagonal;
  double milliseconds = 0;
};

/// Paths of the libraries; empty: searched for.
struct CudaLibraryPaths {
  std::string cublas, cusolver;
};

/// Its memory grows with the largest layer and is kept. One thread at a time.
class CudaSolver {
public:
  static constexpr std::string_view kFile = "support/solver.cu";

  /// From the compiled file, whichever of its entries the image names. NotFound without cuBLAS and
  /// cuSOLVER.
  static Result<std::unique_ptr<CudaSolver>> create(const Device &device, const KernelImage &image,
                                                    const CudaLibraryPaths &paths = {});

  /// InvalidArgument naming the channel whose inputs were NaN or infinite. The memory of `reused`
  /// is used again where it suffices.
  Result<CudaFactor> factor(const CudaHessian &hessian, const SolverOptions &options,
                            CudaFactor reused = {});
  Result<CudaFactor> factor(const Hessian &hessian, const SolverOptions &options);

  /// As solveLayer. With `quantized`, a 16-bit matrix of the same size, Q is left there; it may be
  /// where `weights` are. `milliseconds`: time of the column loop on the device.
  Result<LayerSolution> solve(const CudaWeights &weights, const CudaFactor &factor,
                              const SolverOptions &options, const CudaWeights *quantized = nullptr,
                              double *milliseconds = nullptr);
  Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                              const CudaFactor &factor, const SolverOptions &options,
                              double *milliseconds = nullptr);

private:
  /// A layer's arrays on the GPU.
  struct Memory {
    DeviceBuffer weights, errors, codes, scales, zeros, loss, rejected;
    DeviceBuffer samples, sampleScales, sampleZeros, power;
  };

  CudaSolver(Device device, Stream stream) : device(std::move(device)), stream(std::move(stream)) {}

  Status launch(const Function &function, int64_t x, int64_t y, const SolverArgs &args) const;
  Status readDiagonal(const SolverArgs &args, CudaFactor &factor);
  Result<bool> attempt(CudaFactor &factor, SolverArgs args, double mean, double extra);
  Status climb(CudaFactor &factor, const SolverArgs &args, const SolverOptions &options);
  Result<SolverArgs> prepare(const CudaWeights &weights, const CudaFactor &factor,
                             const SolverOptions &options);
  Status makeGrids(int64_t first, int64_t count, SolverArgs args) const;
  Status runBlocks(const CudaFactor &factor, SolverArgs args, const SolverOptions &options);
  Status measureSamples(const CudaFactor &factor, SolverArgs args);
  Result<LayerSolution> collect(const CudaFactor &factor, const SolverArgs &args);
  Result<std::vector<float>> download(const CudaWeights &weights);
  Result<LayerSolution> solvePlainly(const CudaWeights &weights, const CudaFactor &factor,
                                     const SolverOptions &options);

  Device device;
  Stream stream;
  std::unique_ptr<CudaMath> math; ///< uses `stream`, as `blas` does
  std::unique_ptr<Cublas> blas;
  Memory memory;
  Function hessianDiagonal, reverseHessian, dampHessian, reverseMemory, gatherWeights, findGrids,
      quantizeColumns, takeSamples, roundSamples, samplePower, writeQuantized;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H
