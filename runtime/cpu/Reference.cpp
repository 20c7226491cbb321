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

/// sums[row][0..63] += w x and sums[row][64..127] += w^2 x^2 for weight columns first..last-1 and
/// all rows of X; xt is X transposed, [K, m]. The sums of a block lie together so that they stay in
/// the cache.
void sumBlock(const QuantizedMatrix &matrix, const std::vector<double> &xt, int64_t m,
              int64_t first, int64_t last, double *sums) {
  const Descriptor &d = matrix.descriptor;
  double weights[kBlockColumns] = {};
  for (int64_t k = 0; k < d.k; ++k) {
    const int64_t group = matrix.groupOf(k);
    for (int64_t n = first; n < last; ++n) {
      const double scale = toFloat(matrix.scales[size_t(group * d.n + n)], d.scales);
      const int code = matrix.codes[size_t(k * d.n + n)];
      weights[n - first] = scale * (code - matrix.zeroAt(group, n));
    }
    for (int64_t row = 0; row < m; ++row) {
      const double value = xt[size_t(k * m + row)];
      double *y = sums + row * 2 * kBlockColumns;
      for (int64_t c = 0; c < kBlockColumns; ++c) {
        const double product = weights[c] * value;
        y[c] += product;
        y[c + kBlockColumns] += product * product;
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
  std::vector<std::vector<double>> scratch(static_cast<size_t>(workers));
  for (std::vector<double> &sums : scratch)
    sums.resize(size_t(m * 2 * kBlockColumns));
  parallelFor((d.n + kBlockColumns - 1) / kBlockColumns, workers, [&](int64_t block, int worker) {
    const int64_t first = block * kBlockColumns, last = std::min(first + kBlockColumns, d.n);
    std::vector<double> &sums = scratch[size_t(worker)];
    std::fill(sums.begin(), sums.end(), 0.0);
    sumBlock(matrix, xt, m, first, last, sums.data());
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t n = first; n < last; ++n) {
        const size_t at = size_t(row * 2 * kBlockColumns + n - first);
        const double bias = matrix.bias.empty() ? 0.0 : toFloat(matrix.bias[size_t(n)], d.act);
        linear[size_t(row * d.n + n)] = sums[at] + bias;
        sumSquares[size_t(row * d.n + n)] = sums[at + kBlockColumns];
      }
    }
  });
  return finishReference(d, m, std::move(linear), std::move(sumSquares), threads);
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
