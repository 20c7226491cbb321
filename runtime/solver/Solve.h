// GPTQ on one layer (Frantar et al. 2022, arXiv 2210.17323): columns are quantized one after the
// other, and what each loses is made up for by those that follow.
#ifndef GPTQC_RUNTIME_SOLVER_SOLVE_H
#define GPTQC_RUNTIME_SOLVER_SOLVE_H

#include <span>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"
#include "runtime/solver/Factor.h"

namespace gptqc {

/// What the solver makes of W [N,K]; columns in their original order.
struct LayerSolution {
  int64_t n = 0, k = 0, groups = 0;
  std::vector<uint8_t> codes;      ///< [K,N]
  std::vector<uint8_t> zeros;      ///< [G,N]
  std::vector<float> scales;       ///< [G,N]; values of F16 but in ScaleMode::F32
  std::vector<int32_t> groupIndex; ///< [K]
  double loss = 0;                 ///< tr((W-Q) H (W-Q)^T) with the damped H
  double errorBefore = 0;          ///< relative error of the layer's output, rounded to nearest
  double errorAfter = 0;           ///< the same of this solution; both from up to 64 rows
  double damp = 0;
  Recovery recovery = Recovery::None;

  /// Q [N,K].
  std::vector<float> dequantize() const;
};

/// Quantizes W [N,K] (row-major). `options` are those that the factor was made with, as far as
/// order and groups go. Deterministic for one Blas with one number of threads. InvalidArgument when
/// a weight is not finite or beyond what F16 scales can reach, or when sizes do not fit.
Result<LayerSolution> solveLayer(std::span<const float> weights, int64_t n, int64_t k,
                                 const Factor &factor, const SolverOptions &options,
                                 const Blas &blas, int threads = 0);

/// factorHessian and solveLayer.
Result<LayerSolution> solveLayer(std::span<const float> weights, int64_t n, int64_t k,
                                 const Hessian &hessian, const SolverOptions &options,
                                 const Blas &blas, int threads = 0);

/// The solution as a layer, with the group size of the options; the scales must be those of
/// ScaleMode::Stored.
Result<QuantizedMatrix> toMatrix(const LayerSolution &solution, const SolverOptions &options,
                                 DType activation);

// What the solvers of both devices share.

/// Where the block of columns that starts at position `begin` ends: after kSolverBlock columns, and
/// with groupRefresh before the next group, whose grid needs all updates.
int64_t blockEnd(const ColumnOrder &order, int64_t begin, const SolverOptions &options);
Status checkSizes(int64_t n, int64_t k, const Factor &factor);
/// The largest weight that the scales reach.
float largestWeight(const SolverOptions &options);
/// Sizes that fit, weights that are finite and within the reach of the scales.
Status checkLayer(std::span<const float> weights, int64_t n, int64_t k, const Factor &factor,
                  const SolverOptions &options);
bool isFinite(const LayerSolution &solution);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_SOLVE_H
