// What the column loop needs of H: the upper Cholesky factor of its inverse, damped as much as it
// takes. Layers with the same inputs (q, k, v; gate, up) share one.
#ifndef GPTQC_RUNTIME_SOLVER_FACTOR_H
#define GPTQC_RUNTIME_SOLVER_FACTOR_H

#include <vector>

#include "runtime/solver/ColumnOrder.h"
#include "runtime/solver/Hessian.h"

namespace gptqc {

/// What it took to make H positive definite.
enum class Recovery {
  None,
  Damping, ///< more damping than asked for
  Floor,   ///< a multiple of the largest diagonal element on the diagonal
  Diagonal ///< nothing helped: H was replaced by its diagonal, the result is round to nearest
};
std::string_view recoveryName(Recovery recovery);

struct Factor {
  int64_t k = 0;
  ColumnOrder order;
  std::vector<float> upper; ///< [K,K] by position: inverse(H) = U^T U; below the diagonal undefined
  std::vector<float> diagonal; ///< [K] by column, of H; 0: dead, no input ever was different from 0
  double damp = 0;             ///< of the mean diagonal, as used
  Recovery recovery = Recovery::None;
};

/// Always succeeds for a finite H; the rungs of the ladder are in Factor.cpp.
Factor factorHessian(const Hessian &hessian, const SolverOptions &options, const Blas &blas);

/// Whether layers with these options can share a factor.
inline bool shareFactor(const SolverOptions &a, const SolverOptions &b) {
  return a.damp == b.damp && a.groupSize == b.groupSize && a.actOrder == b.actOrder &&
         a.staticGroups == b.staticGroups && a.actGroupAware == b.actGroupAware;
}

/// The factor of the last rung: H is taken for diagonal.
Factor diagonalFactor(const Factor &factor, const SolverOptions &options);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_FACTOR_H
