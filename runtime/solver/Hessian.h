// H of a layer: what its inputs say about which columns of W matter.
#ifndef GPTQC_RUNTIME_SOLVER_HESSIAN_H
#define GPTQC_RUNTIME_SOLVER_HESSIAN_H

#include <vector>

#include "runtime/cpu/Blas.h"

namespace gptqc {

/// H = 2 / tokens * sum of x x^T, K x K, both triangles, no damping (Frantar et al. 2022,
/// arXiv 2210.17323). The factor 2 / tokens does not change the solution, only the loss.
struct Hessian {
  int64_t k = 0;
  int64_t tokens = 0; ///< 0: not known
  std::vector<float> values;
};

/// Sums x x^T in fp32 over batches of any size. One thread at a time; each add uses all threads of
/// the Blas.
class HessianSum {
public:
  HessianSum(int64_t k, Blas blas);

  /// x: [tokens, K].
  void add(MatrixRef<const float> x);

  int64_t tokens() const { return count; }

  /// Scales and mirrors the sum; it is empty afterwards. InvalidArgument when there were no tokens,
  /// or when an input was NaN or infinite (naming its channel).
  Result<Hessian> finish();

private:
  Blas blas;
  int64_t k = 0, count = 0;
  std::vector<float> sum; ///< upper triangle
};

/// Copies the upper triangle of a square matrix into the lower one, on so many threads.
void mirrorUpper(MatrixRef<float> a, int threads = 1);

/// Checks a Hessian that comes from elsewhere: finite, no negative diagonal, symmetric to 1e-3 of
/// the diagonal.
Status validate(const Hessian &hessian);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_HESSIAN_H
