// Naive double-precision reference, a block of weight columns at a time.
#include "runtime/cpu/Reference.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Experts.h"
#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

constexpr int64_t kBlockColumns = 64;

double silu(double value) { return value / (1.0 + std::exp(-value)); }

double siluSlope(double value) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-value));
  return sigmoid * (1.0 + value * (1.0 - sigmoid));
}

/// Sums over K, [row][kBlockColumns] each; those of a block lie together so that they stay in the
/// cache.
struct BlockSums {
  explicit BlockSums(int64_t m) : all(size_t(m * 3 * kBlockColumns)) {}
  void clear() { std::fill(all.begin(), all.end(), 0.0); }
  double *products(int64_t row) { return all.data() + row * 3 * kBlockColumns; }
  double *squares(int64_t row) { return products(row) + kBlockColumns; }
  double *roundings(int64_t row) { return products(row) + 2 * kBlockColumns; }
  std::vector<double> all;
};

/// Adds w x, w^2 x^2 and the rounding errors of w x for weight columns first..last-1 and all rows
/// of X; xt is X transposed, [K, m].
void sumBlock(const QuantizedMatrix &matrix, const std::vector<double> &xt, int64_t m,
              int64_t first, int64_t last, BlockSums &sums) {
  const Descriptor &d = matrix.descriptor;
  double weights[kBlockColumns] = {}, errors[kBlockColumns] = {};
  for (int64_t k = 0; k < d.k; ++k) {
    const int64_t group = matrix.groupOf(k);
    for (int64_t n = first; n < last; ++n) {
      const double scale = toFloat(matrix.scales[size_t(group * d.n + n)], d.scales);
      const int code = matrix.codes[size_t(k * d.n + n)];
      weights[n - first] = scale * (code - matrix.zeroAt(group, n));
      errors[n - first] = roundingError(d.act, float(weights[n - first]));
    }
    for (int64_t row = 0; row < m; ++row) {
      const double value = xt[size_t(k * m + row)];
      double *products = sums.products(row), *squares = sums.squares(row),
             *roundings = sums.roundings(row);
      for (int64_t c = 0; c < kBlockColumns; ++c) {
        const double product = weights[c] * value;
        products[c] += product;
        squares[c] += product * product;
        roundings[c] += errors[c] * value;
      }
    }
  }
}

/// One row of a silu_mul reference; see finishReference.
void siluMulRow(const Descriptor &d, const double *linear, const double *spreadSquares, double *y,
                double *spread) {
  const double unit = 8 * unitRoundoff(d.act);
  const int64_t half = d.n / 2;
  for (int64_t c = 0; c < half; ++c) {
    const double gate = linear[c], up = linear[c + half];
    const double gateError = unit * std::sqrt(spreadSquares[c]);
    const double upError = unit * std::sqrt(spreadSquares[c + half]);
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

  std::vector<double> linear(size_t(m * d.n)), spreadSquares(size_t(m * d.n));
  std::vector<BlockSums> scratch(static_cast<size_t>(workers), BlockSums(m));
  parallelFor((d.n + kBlockColumns - 1) / kBlockColumns, workers, [&](int64_t block, int worker) {
    const int64_t first = block * kBlockColumns, last = std::min(first + kBlockColumns, d.n);
    BlockSums &sums = scratch[size_t(worker)];
    sums.clear();
    sumBlock(matrix, xt, m, first, last, sums);
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t n = first; n < last; ++n) {
        const double bias = matrix.bias.empty() ? 0.0 : toFloat(matrix.bias[size_t(n)], d.act);
        linear[size_t(row * d.n + n)] = sums.products(row)[n - first] + bias;
        spreadSquares[size_t(row * d.n + n)] =
            spreadSquare(d.act, sums.squares(row)[n - first], sums.roundings(row)[n - first]);
      }
    }
  });
  return finishReference(d, m, std::move(linear), std::move(spreadSquares), threads);
}

Reference referenceExperts(const QuantizedMatrix &matrix, std::span<const int32_t> offsets,
                           const uint16_t *x, int64_t ldx, int threads) {
  Reference all;
  all.rows = offsets.back();
  all.columns = matrix.descriptor.outputColumns();
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t rows = offsets[e + 1] - offsets[e];
    if (rows == 0)
      continue;
    const Reference one =
        referenceLinear(expertOf(matrix, int64_t(e)), x + offsets[e] * ldx, ldx, rows, threads);
    all.y.insert(all.y.end(), one.y.begin(), one.y.end());
    all.spread.insert(all.spread.end(), one.spread.begin(), one.spread.end());
  }
  return all;
}

Reference finishReference(const Descriptor &descriptor, int64_t m, std::vector<double> linear,
                          std::vector<double> spreadSquares, int threads) {
  Reference reference;
  reference.rows = m;
  reference.columns = descriptor.outputColumns();
  const int workers = resolveThreads(threads);
  if (!descriptor.siluMul) {
    reference.y = std::move(linear);
    reference.spread = std::move(spreadSquares);
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
               spreadSquares.data() + row * descriptor.n,
               reference.y.data() + row * reference.columns,
               reference.spread.data() + row * reference.columns);
  });
  return reference;
}

} // namespace gptqc
