// Some rows of W, from which the error of a layer's output is estimated.
#ifndef GPTQC_RUNTIME_SOLVER_SAMPLES_H
#define GPTQC_RUNTIME_SOLVER_SAMPLES_H

#include <span>
#include <vector>

#include "runtime/solver/Factor.h"

namespace gptqc {

/// Up to 64 rows, evenly spaced. For a matrix D of rows like these, ||D inverse(U)||^2 =
/// tr(D H D^T) is the power of D x over the calibration inputs.
struct RowSamples {
  static constexpr int64_t kMostRows = 64;
  int64_t rows = 0;
  std::vector<float> signal;     ///< [K,rows] by position: W itself
  std::vector<float> difference; ///< [K,rows]: W minus W rounded to nearest in the same groups

  /// Row of W [N,K] behind a sample.
  static int64_t rowOf(int64_t sample, int64_t rows, int64_t n) { return sample * n / rows; }

  static RowSamples take(std::span<const float> weights, int64_t n, const Factor &factor,
                         const SolverOptions &options);
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_SAMPLES_H
