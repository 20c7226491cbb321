// The factor is remade only for other options.
#include "runtime/solver/StageSolver.h"

#include <optional>

namespace gptqc {
namespace {

class CpuStageSolver : public StageSolver {
public:
  CpuStageSolver(const Hessian &hessian, const Blas &blas, int threads)
      : hessian(hessian), blas(blas), threads(threads) {}

  Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                              const SolverOptions &options) override {
    if (!factor || !shareFactor(options, madeFor)) {
      factor = factorHessian(hessian, options, blas);
      madeFor = options;
    }
    return solveLayer(weights, n, k, *factor, options, blas, threads);
  }

private:
  const Hessian &hessian;
  Blas blas;
  int threads;
  std::optional<Factor> factor;
  SolverOptions madeFor;
};

} // namespace

StageSolverFactory cpuStageSolver(const Blas &blas, int threads) {
  return [blas, threads](const Hessian &hessian) {
    return std::make_unique<CpuStageSolver>(hessian, blas, threads);
  };
}

} // namespace gptqc
