// Solves the layers that read one input, sharing its factor: on the CPU or on a GPU.
#ifndef GPTQC_RUNTIME_SOLVER_STAGESOLVER_H
#define GPTQC_RUNTIME_SOLVER_STAGESOLVER_H

#include <functional>
#include <memory>

#include "runtime/solver/Solve.h"

namespace gptqc {

/// Whether layers with these options can share a factor.
inline bool shareFactor(const SolverOptions &a, const SolverOptions &b) {
  return a.damp == b.damp && a.groupSize == b.groupSize && a.actOrder == b.actOrder &&
         a.staticGroups == b.staticGroups && a.actGroupAware == b.actGroupAware;
}

/// Made for one Hessian, which it borrows.
class StageSolver {
public:
  virtual ~StageSolver() = default;
  /// As solveLayer; the factor of the call before is used again where the options allow it.
  virtual Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                                      const SolverOptions &options) = 0;
};

using StageSolverFactory = std::function<std::unique_ptr<StageSolver>(const Hessian &hessian)>;

/// On the CPU.
StageSolverFactory cpuStageSolver(const Blas &blas, int threads);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_STAGESOLVER_H
