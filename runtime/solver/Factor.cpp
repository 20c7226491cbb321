// One Cholesky factorization and one triangular inverse. With J the reversal of rows and columns:
// J H J = L L^T, so H = R R^T with R = J L J upper triangular, and inverse(H) = U^T U with
// U = inverse(R) = J inverse(L) J. Reversing both rows and columns of a matrix reverses its memory.
#include "runtime/solver/Factor.h"

#include <algorithm>
#include <cmath>

#include "runtime/solver/Ladder.h"

namespace gptqc {
namespace {

constexpr int64_t kBlock = 64; ///< rows of the triangular inverse at a time

/// The inverse of a lower triangular block, with zeros above its diagonal.
std::vector<float> invertBlock(MatrixRef<const float> block) {
  const int64_t n = block.rows;
  std::vector<float> inverse(static_cast<size_t>(n * n), 0.0f);
  for (int64_t column = 0; column < n; ++column)
    for (int64_t row = column; row < n; ++row) {
      double sum = row == column ? 1 : 0;
      for (int64_t p = column; p < row; ++p)
        sum -= double(block.at(row, p)) * inverse[size_t(p * n + column)];
      inverse[size_t(row * n + column)] = float(sum / block.at(row, row));
    }
  return inverse;
}

/// Replaces L by X = inverse(L), block row by block row: X[i,:i] = -inverse(L[i,i]) L[i,:i]
/// X[:i,:i]. X is multiplied in slices of columns, each from its own row on; the square on the
/// diagonal goes through a copy, because what lies above the diagonal is not ours.
void invertLower(MatrixRef<float> l, const Blas &blas) {
  constexpr int64_t kSlice = 8 * kBlock;
  std::vector<float> product(static_cast<size_t>(kBlock * l.rows)), square;
  for (int64_t i = 0; i < l.rows; i += kBlock) {
    const int64_t rows = std::min(kBlock, l.rows - i);
    const std::vector<float> inverse = invertBlock(l.block(i, i, rows, rows));
    const MatrixRef<float> left = l.block(i, 0, rows, i);
    const MatrixRef<float> sums(product.data(), rows, i);
    for (int64_t c = 0; c < i; c += kSlice) {
      const int64_t size = std::min(kSlice, i - c), below = i - c - size;
      square.assign(size_t(size * size), 0.0f);
      for (int64_t row = 0; row < size; ++row)
        std::copy_n(l.row(c + row) + c, row + 1, square.data() + row * size);
      const MatrixRef<float> out = sums.block(0, c, rows, size);
      blas.gemm(1.0f, left.block(0, c, rows, size), Transpose::No,
                MatrixRef<const float>(square.data(), size, size), Transpose::No, 0.0f, out);
      if (below > 0)
        blas.gemm(1.0f, left.block(0, c + size, rows, below), Transpose::No,
                  l.block(c + size, c, below, size), Transpose::No, 1.0f, out);
    }
    const MatrixRef<const float> corner(inverse.data(), rows, rows);
    blas.gemm(-1.0f, corner, Transpose::No, sums, Transpose::No, 0.0f, left);
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(corner.row(row), row + 1, l.row(i + row) + i);
  }
}

/// J H J in the given order. Elements that belong to dead columns are those of a unit matrix.
void fillReversed(const Hessian &hessian, Factor &factor) {
  const int64_t k = factor.k;
  const std::vector<int32_t> &column = factor.order.column;
  factor.upper.resize(size_t(k * k));
  for (int64_t i = 0; i < k; ++i) {
    const int64_t row = column[size_t(k - 1 - i)];
    const float *source = hessian.values.data() + row * k;
    float *target = factor.upper.data() + i * k;
    const bool deadRow = !(factor.diagonal[size_t(row)] > 0);
    for (int64_t j = 0; j < k; ++j) {
      const size_t from = size_t(column[size_t(k - 1 - j)]);
      target[j] = deadRow || !(factor.diagonal[from] > 0) ? 0 : source[from];
    }
  }
}

bool isUsable(const std::vector<float> &upper, int64_t k) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = i; j < k; ++j)
      if (const float value = upper[size_t(i * k + j)];
          !std::isfinite(value) || (i == j && value <= 0))
        return false;
  return true;
}

/// One attempt with `extra` on the diagonal. The strict upper triangle of the reversed matrix stays
/// as it was, and the lower one comes back from it.
bool attempt(Factor &factor, const Magnitude &magnitude, double extra, const Blas &blas) {
  const int64_t k = factor.k;
  const MatrixRef<float> a(factor.upper.data(), k, k);
  mirrorUpper(a);
  for (int64_t i = 0; i < k; ++i) {
    const int32_t column = factor.order.column[size_t(k - 1 - i)];
    a.at(i, i) = float(magnitude.of(factor.diagonal[size_t(column)]) + extra);
  }
  if (blas.potrf(Triangle::Lower, a) != 0)
    return false;
  invertLower(a, blas);
  std::reverse(factor.upper.begin(), factor.upper.end());
  if (isUsable(factor.upper, k))
    return true;
  std::reverse(factor.upper.begin(), factor.upper.end());
  return false;
}

} // namespace

std::string_view recoveryName(Recovery recovery) {
  constexpr std::string_view kNames[] = {"none", "damping", "floor", "diagonal"};
  return kNames[size_t(recovery)];
}

Magnitude::Magnitude(std::span<const float> diagonal) {
  double sum = 0, top = 0;
  int64_t alive = 0;
  for (float value : diagonal) {
    alive += value > 0;
    sum += value;
    top = std::max(top, double(value));
  }
  if (alive > 0) {
    mean = sum / double(alive);
    largest = top;
  }
}

std::vector<Rung> dampingLadder(double damp) {
  std::vector<Rung> ladder = {{damp, 0, Recovery::None}};
  for (damp *= 2; damp < 1; damp *= 2)
    ladder.push_back({damp, 0, Recovery::Damping});
  const double most = ladder.back().damp;
  for (double floor : {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1})
    ladder.push_back({most, floor, Recovery::Floor});
  return ladder;
}

Factor diagonalFactor(const Factor &factor, const SolverOptions &options) {
  const int64_t k = factor.k;
  const Magnitude magnitude(factor.diagonal);
  Factor result{k, factor.order, {}, factor.diagonal, options.damp, Recovery::Diagonal};
  result.upper.assign(size_t(k * k), 0.0f);
  for (int64_t i = 0; i < k; ++i) {
    const int32_t column = factor.order.column[size_t(i)];
    const double value =
        magnitude.of(factor.diagonal[size_t(column)]) + options.damp * magnitude.mean;
    result.upper[size_t(i * k + i)] = float(1 / std::sqrt(value));
  }
  return result;
}

Factor factorHessian(const Hessian &hessian, const SolverOptions &options, const Blas &blas) {
  Factor factor;
  factor.k = hessian.k;
  for (int64_t i = 0; i < hessian.k; ++i)
    factor.diagonal.push_back(std::max(0.0f, hessian.values[size_t(i * hessian.k + i)]));
  factor.order = ColumnOrder::make(factor.diagonal, options);
  const Magnitude magnitude(factor.diagonal);
  fillReversed(hessian, factor);
  for (const Rung &rung : dampingLadder(options.damp)) {
    factor.damp = rung.damp;
    factor.recovery = rung.recovery;
    const double extra = rung.damp * magnitude.mean + rung.floor * magnitude.largest;
    if (attempt(factor, magnitude, extra, blas))
      return factor;
  }
  return diagonalFactor(factor, options);
}

} // namespace gptqc
