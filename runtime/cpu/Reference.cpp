// Naive double-precision reference, a block of weight columns at a time.
#include "runtime/cpu/Reference.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Parallel.h"

namespace gptqc {
namespace {

constexpr int64_t kBlockColumns = 64;

double silu(double value) { return value / (1.0 + std::exp(-value)); }

double siluSlope(double value) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-value));
  return sigmoid * (1.0 + value * (1.0 - sigmoid));
}

/// Sums for weight columns first..last-1, all rows of X; xt is X transposed, [K, m].
void sumBlock(const QuantizedMatrix &matrix, const std::vector<double> &xt, int64_t m,
              int64_t first, int64_t last, double *linear, double *sumSquares) {
  const Descriptor &d = matrix.descriptor;
  const int64_t count = last - first;
  double weights[kBlockColumns];
  for (int64_t k = 0; k < d.k; ++k) {
    const int64_t group = matrix.groupOf(k);
    for (int64_t c = 0; c < count; ++c) {
      const int64_t n = first + c;
      const double scale = toFloat(matrix.scales[size_t(group * d.n + n)], d.scales);
      weights[c] = scale * (int(matrix.codes[size_t(k * d.n + n)]) - matrix.zeroAt(group, n));
    }
    for (int64_t row = 0; row < m; ++row) {
      const double value = xt[size_t(k * m + row)];
      double *y = linear + row * d.n + first;
      double *squares = sumSquares + row * d.n + first;
      for (int64_t c = 0; c < count; ++c) {
        const double product = weights[c] * value;
        y[c] += product;
        squares[c] += product * product;
      }
    }
  }
}

/// One row of a silu_mul reference; see finishReference.
void siluMulRow(const Descriptor &d, const double *linear, const double *sumSquares, double *y,
                double *spread) {
  const double unit = 8 * unitRoundoff(d.act);
  const int64_t half = d.n / 2;
  for (int64_t c = 0; c < half; ++c) {
    const double gate = linear[c], up = linear[c + half];
    const double gateError = unit * std::sqrt(sumSquares[c]);
    const double upError = unit * std::sqrt(sumSquares[c + half]);
    const double slope = std::min(1.1, std::abs(siluSlope(gate)) + gateError / 2);
    y[c] = silu(gate) * up;
    spread[c] =
        (slope * gateError * (std::abs(up) + upError) + std::abs(silu(gate)) * upError) / unit;
  }
}

} // namespace

Reference referenceLinear(const QuantizedMatrix &matrix, const uint16_t *x, int64_t ldx, int64_t m,
                          int threads) {
  const Descriptor &d = matrix.descriptor;
  const int workers = resolveThreads(threads);
  std::vector<double> xt(size_t(d.k * m));
  for (int64_t row = 0; row < m; ++row)
    for (int64_t k = 0; k < d.k; ++k)
      xt[size_t(k * m + row)] = toFloat(x[row * ldx + k], d.act);

  std::vector<double> linear(size_t(m * d.n)), sumSquares(size_t(m * d.n));
  if (!matrix.bias.empty())
    for (int64_t row = 0; row < m; ++row)
      for (int64_t n = 0; n < d.n; ++n)
        linear[size_t(row * d.n + n)] = toFloat(matrix.bias[size_t(n)], d.act);
  parallelFor((d.n + kBlockColumns - 1) / kBlockColumns, workers, [&](int64_t block, int) {
    const int64_t first = block * kBlockColumns;
    sumBlock(matrix, xt, m, first, std::min(first + kBlockColumns, d.n), linear.data(),
             sumSquares.data());
  });
  return finishReference(d, m, std::move(linear), std::move(sumSquares), threads);
}

Reference finishReference(const Descriptor &descriptor, int64_t m, std::vector<double> linear,
                          std::vector<double> sumSquares, int threads) {
  Reference reference;
  reference.rows = m;
  reference.columns = descriptor.outputColumns();
  const int workers = resolveThreads(threads);
  if (!descriptor.siluMul) {
    reference.y = std::move(linear);
    reference.spread = std::move(sumSquares);
    parallelFor(m, workers, [&](int64_t row, int) {
      double *spread = reference.spread.data() + row * reference.columns;
      for (int64_t c = 0; c < reference.columns; ++c)
        spread[c] = std::sqrt(spread[c]);
    });
    return reference;
  }
  reference.y.resize(size_t(m * reference.columns));
  reference.spread.resize(reference.y.size());
  parallelFor(m, workers, [&](int64_t row, int) {
    siluMulRow(descriptor, linear.data() + row * descriptor.n,
               sumSquares.data() + row * descriptor.n, reference.y.data() + row * reference.columns,
               reference.spread.data() + row * reference.columns);
  });
  return reference;
}

} // namespace gptqc
