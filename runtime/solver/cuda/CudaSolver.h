// GPTQ on one layer on a GPU: the same steps as on the CPU, with the same options.
#ifndef GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H
#define GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H

#include <string_view>

#include "runtime/device/Cublas.h"
#include "runtime/device/Module.h"
#include "runtime/solver/StageSolver.h"
#include "runtime/solver/cuda/CudaMath.h"
#include "runtime/solver/cuda/SolverArgs.h"

namespace gptqc {

/// The factor of one Hessian on the GPU; movable.
struct CudaFactor {
  Factor facts;       ///< all but `upper`
  DeviceBuffer upper; ///< [K,K]
  DeviceBuffer column, group, byGroup, starts, diagonal;
  double milliseconds = 0;
};

/// One thread at a time.
class CudaSolver {
public:
  static constexpr std::string_view kFile = "support/solver.cu";

  /// From the compiled file, whichever of its entries the image names. NotFound without cuBLAS and
  /// cuSOLVER.
  static Result<std::unique_ptr<CudaSolver>> create(const Device &device, const KernelImage &image);

  Result<CudaFactor> factor(const Hessian &hessian, const SolverOptions &options);

  /// As solveLayer. `milliseconds`: time on the device without copies, 0 when not wanted.
  Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                              const CudaFactor &factor, const SolverOptions &options,
                              double *milliseconds = nullptr);

private:
  struct Layer;

  CudaSolver(Device device, Stream stream) : device(std::move(device)), stream(std::move(stream)) {}

  Status launch(const Function &function, int64_t x, int64_t y, const SolverArgs &args) const;
  Result<bool> attempt(CudaFactor &factor, SolverArgs args, double mean, double extra);
  Status climb(CudaFactor &factor, const SolverArgs &args, const SolverOptions &options);
  Result<Layer> allocate(std::span<const float> weights, int64_t n, const CudaFactor &factor,
                         const SolverOptions &options) const;
  Status runBlocks(const CudaFactor &factor, const Layer &layer, const SolverOptions &options);
  Result<LayerSolution> collect(std::span<const float> weights, const CudaFactor &factor,
                                const Layer &layer, const SolverOptions &options);
  Result<double> power(const CudaFactor &factor, const std::vector<float> &rows, int64_t count);

  Device device;
  Stream stream;
  std::unique_ptr<CudaMath> math; ///< uses `stream`, as `blas` does
  std::unique_ptr<Cublas> blas;
  Function reverseHessian, dampHessian, reverseMemory, gatherWeights, findGrids, quantizeColumns;
};

/// Layers of one input on a GPU. The solver must outlive what the factory makes.
StageSolverFactory cudaStageSolver(CudaSolver &solver);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_CUDA_CUDASOLVER_H
