// Reference: the naive double-precision dequantize + GEMM that every path is compared with. Works
// on QuantizedMatrix, so that it shares nothing with the packers and kernels that it judges.
#ifndef GPTQC_RUNTIME_CPU_REFERENCE_H
#define GPTQC_RUNTIME_CPU_REFERENCE_H

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/Float16.h"
#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

/// The exact result (to double precision) and how much a correct kernel may scatter around it.
struct Reference {
  int64_t rows = 0;           ///< M
  int64_t columns = 0;        ///< outputColumns
  std::vector<double> y;      ///< [rows, columns]
  std::vector<double> spread; ///< [rows, columns]: roots of spreadSquare, through the epilogue
};

/// Of one output: what a correct kernel scatters by, in units of the unit roundoff u of `act`,
/// squared. squares: sum w^2 x^2, whose root is a random walk of rounding errors. rounding: sum (w'
/// - w) x, w' being w rounded to `act`, which is how most kernels multiply: a group of few bits has
/// few different weights, whose errors add up where the inputs have a mean. Tolerances count 8 u or
/// more of the spread: that much covers all of it.
inline double spreadSquare(DType act, double squares, double rounding) {
  const double spread = std::sqrt(squares) + std::abs(rounding) / (8 * unitRoundoff(act));
  return spread * spread;
}

/// w' - w; 0 where w' is not finite.
inline double roundingError(DType act, float weight) {
  const float rounded = toFloat(fromFloat(weight, act), act);
  return std::isfinite(rounded) ? double(rounded) - double(weight) : 0.0;
}

/// x: [m, K] values of descriptor.act, row stride ldx elements. threads 0: all of the machine.
/// Thread-safe.
Reference referenceLinear(const QuantizedMatrix &matrix, const uint16_t *x, int64_t ldx, int64_t m,
                          int threads = 0);

/// The same of a grouped layer; expert e has rows offsets[e]..offsets[e + 1] - 1, all rows of X
/// from 0 to offsets.back().
Reference referenceExperts(const QuantizedMatrix &matrix, std::span<const int32_t> offsets,
                           const uint16_t *x, int64_t ldx, int threads = 0);

/// Turns X W + bias and squares of spreads, both [m, N] in double (from here or from a GPU), into
/// the reference: square roots, and the epilogue. For silu_mul, f = silu(g) u, the spread of f
/// follows from those of g and u. With t = 8 u_w spread: |silu(g') - silu(g)| <= L t_g, where L =
/// min(1.1, |silu'(g)| + t_g / 2), since |silu'| < 1.1 and |silu''| <= 1/2; hence |f' - f| <= L t_g
/// (|u| + t_u) + |silu(g)| t_u, which is 8 u_w times the spread stored.
Reference finishReference(const Descriptor &descriptor, int64_t m, std::vector<double> linear,
                          std::vector<double> spreadSquares, int threads = 0);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_REFERENCE_H
