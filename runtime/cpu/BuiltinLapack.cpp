// Recursive forms of syrk, trsm, potrf and potri (Elmroth et al. 2004): a triangle splits into two
// half-sized ones and a square, which is a matrix product.
#include "runtime/cpu/BuiltinLapack.h"

#include <cmath>
#include <vector>

#include "runtime/cpu/BuiltinGemm.h"

namespace gptqc {
namespace {

constexpr int64_t kLeaf = 48; ///< size below which plain loops are used

Transpose flip(Transpose op) { return op == Transpose::Yes ? Transpose::No : Transpose::Yes; }

/// Lines first..first+count of op(A), which has `depth` columns.
template <typename T>
MatrixRef<const T> linesOf(MatrixRef<const T> a, Transpose op, int64_t first, int64_t count) {
  return op == Transpose::Yes ? a.block(0, first, a.rows, count)
                              : a.block(first, 0, count, a.columns);
}

template <typename T>
void syrkLeaf(Triangle triangle, T alpha, MatrixRef<const T> a, Transpose op, T beta,
              MatrixRef<T> c, int threads) {
  std::vector<T> square(size_t(c.rows * c.rows));
  const MatrixRef<T> full(square.data(), c.rows, c.rows);
  builtinGemm<T>(alpha, a, op, a, flip(op), T(0), full, threads);
  for (int64_t i = 0; i < c.rows; ++i) {
    const int64_t begin = triangle == Triangle::Lower ? 0 : i;
    const int64_t end = triangle == Triangle::Lower ? i + 1 : c.rows;
    for (int64_t j = begin; j < end; ++j)
      c.at(i, j) = full.at(i, j) + (beta == T(0) ? T(0) : beta * c.at(i, j));
  }
}

/// Plain substitution; `forward` when op(T) is lower (Left) or upper (Right).
template <typename T>
void trsmLeaf(Side side, bool forward, Transpose op, MatrixRef<const T> t, MatrixRef<T> b) {
  const int64_t n = t.rows;
  const auto element = [&](int64_t i, int64_t j) {
    return op == Transpose::Yes ? t.at(j, i) : t.at(i, j);
  };
  for (int64_t step = 0; step < n; ++step) {
    const int64_t i = forward ? step : n - 1 - step;
    const T inverse = T(1) / element(i, i);
    if (side == Side::Left) {
      for (int64_t done = 0; done < step; ++done) {
        const int64_t j = forward ? done : n - 1 - done;
        const T factor = element(i, j);
        for (int64_t column = 0; column < b.columns; ++column)
          b.at(i, column) -= factor * b.at(j, column);
      }
      for (int64_t column = 0; column < b.columns; ++column)
        b.at(i, column) *= inverse;
    } else {
      for (int64_t row = 0; row < b.rows; ++row) {
        T sum = b.at(row, i);
        for (int64_t done = 0; done < step; ++done) {
          const int64_t j = forward ? done : n - 1 - done;
          sum -= b.at(row, j) * element(j, i);
        }
        b.at(row, i) = sum * inverse;
      }
    }
  }
}

template <typename T>
void solveTriangle(Side side, Triangle triangle, Transpose op, MatrixRef<const T> t, MatrixRef<T> b,
                   int threads) {
  const int64_t n = t.rows, half = n / 2;
  const bool opIsLower = (triangle == Triangle::Lower) == (op == Transpose::No);
  const bool forward = opIsLower == (side == Side::Left);
  if (n <= kLeaf)
    return trsmLeaf(side, forward, op, t, b);
  const auto part = [&](int64_t begin, int64_t size) {
    return side == Side::Left ? b.block(begin, 0, size, b.columns)
                              : b.block(0, begin, b.rows, size);
  };
  const MatrixRef<T> low = part(0, half), high = part(half, n - half);
  const MatrixRef<T> first = forward ? low : high, second = forward ? high : low;
  const MatrixRef<const T> lowT = t.block(0, 0, half, half);
  const MatrixRef<const T> highT = t.block(half, half, n - half, n - half);
  const MatrixRef<const T> square = triangle == Triangle::Lower ? t.block(half, 0, n - half, half)
                                                                : t.block(0, half, half, n - half);
  solveTriangle<T>(side, triangle, op, forward ? lowT : highT, first, threads);
  if (side == Side::Left)
    builtinGemm<T>(T(-1), square, op, first, Transpose::No, T(1), second, threads);
  else
    builtinGemm<T>(T(-1), first, Transpose::No, square, op, T(1), second, threads);
  solveTriangle<T>(side, triangle, op, forward ? highT : lowT, second, threads);
}

template <typename T> int64_t potrfLeaf(Triangle triangle, MatrixRef<T> a) {
  const auto factor = [&](int64_t i, int64_t j) -> T & { // of L, or of U transposed
    return triangle == Triangle::Lower ? a.at(i, j) : a.at(j, i);
  };
  for (int64_t j = 0; j < a.rows; ++j) {
    T pivot = factor(j, j);
    for (int64_t p = 0; p < j; ++p)
      pivot -= factor(j, p) * factor(j, p);
    if (!(pivot > T(0)) || !std::isfinite(pivot))
      return j + 1;
    factor(j, j) = std::sqrt(pivot);
    for (int64_t i = j + 1; i < a.rows; ++i) {
      T sum = factor(i, j);
      for (int64_t p = 0; p < j; ++p)
        sum -= factor(i, p) * factor(j, p);
      factor(i, j) = sum / factor(j, j);
    }
  }
  return 0;
}

/// The halves of a triangular matrix: [low, -; square, high] or [low, square; -, high].
template <typename T> struct Halves {
  MatrixRef<T> low, high, square;
  Halves(Triangle triangle, MatrixRef<T> a) {
    const int64_t half = a.rows / 2, rest = a.rows - half;
    low = a.block(0, 0, half, half);
    high = a.block(half, half, rest, rest);
    square =
        triangle == Triangle::Lower ? a.block(half, 0, rest, half) : a.block(0, half, half, rest);
  }
};

/// The inverse of a triangle in place: square' = -high^-1 square low^-1 (lower).
template <typename T> void invertTriangle(Triangle triangle, MatrixRef<T> a, int threads) {
  if (a.rows <= 1) {
    if (a.rows == 1)
      a.at(0, 0) = T(1) / a.at(0, 0);
    return;
  }
  const Halves<T> halves(triangle, a);
  const bool lower = triangle == Triangle::Lower;
  solveTriangle<T>(Side::Right, triangle, Transpose::No, lower ? halves.low : halves.high,
                   halves.square, threads);
  solveTriangle<T>(Side::Left, triangle, Transpose::No, lower ? halves.high : halves.low,
                   halves.square, threads);
  for (int64_t i = 0; i < halves.square.rows; ++i)
    for (int64_t j = 0; j < halves.square.columns; ++j)
      halves.square.at(i, j) = -halves.square.at(i, j);
  invertTriangle(triangle, halves.low, threads);
  invertTriangle(triangle, halves.high, threads);
}

template <typename T> std::vector<T> copyOf(MatrixRef<T> a) {
  std::vector<T> copy;
  copy.reserve(size_t(a.rows * a.columns));
  for (int64_t i = 0; i < a.rows; ++i)
    copy.insert(copy.end(), a.row(i), a.row(i) + a.columns);
  return copy;
}

/// L^T L in place of L, or U U^T in place of U: the triangle of the inverse, from an inverted
/// factor.
template <typename T> void squareTriangle(Triangle triangle, MatrixRef<T> a, int threads) {
  if (a.rows <= 1) {
    if (a.rows == 1)
      a.at(0, 0) *= a.at(0, 0);
    return;
  }
  const Halves<T> halves(triangle, a);
  const bool lower = triangle == Triangle::Lower;
  squareTriangle(triangle, halves.low, threads);
  builtinSyrk<T>(triangle, T(1), halves.square, lower ? Transpose::Yes : Transpose::No, T(1),
                 halves.low, threads);
  std::vector<T> squareCopy = copyOf(halves.square), highCopy = copyOf(halves.high);
  const MatrixRef<T> square(squareCopy.data(), halves.square.rows, halves.square.columns);
  const MatrixRef<T> high(highCopy.data(), halves.high.rows, halves.high.columns);
  for (int64_t i = 0; i < high.rows; ++i)
    for (int64_t j = 0; j < high.columns; ++j)
      if (lower ? j > i : j < i)
        high.at(i, j) = T(0);
  if (lower)
    builtinGemm<T>(T(1), high, Transpose::Yes, square, Transpose::No, T(0), halves.square, threads);
  else
    builtinGemm<T>(T(1), square, Transpose::No, high, Transpose::Yes, T(0), halves.square, threads);
  squareTriangle(triangle, halves.high, threads);
}

} // namespace

template <typename T>
void builtinSyrk(Triangle triangle, T alpha, MatrixRef<const T> a, Transpose op, T beta,
                 MatrixRef<T> c, int threads) {
  const int64_t n = c.rows, half = n / 2;
  if (n <= 2 * kLeaf)
    return syrkLeaf(triangle, alpha, a, op, beta, c, threads);
  const Halves<T> halves(triangle, c);
  const MatrixRef<const T> low = linesOf(a, op, 0, half), high = linesOf(a, op, half, n - half);
  builtinSyrk(triangle, alpha, low, op, beta, halves.low, threads);
  const bool lower = triangle == Triangle::Lower;
  builtinGemm<T>(alpha, lower ? high : low, op, lower ? low : high, flip(op), beta, halves.square,
                 threads);
  builtinSyrk(triangle, alpha, high, op, beta, halves.high, threads);
}

template <typename T>
void builtinTrsm(Side side, Triangle triangle, Transpose op, T alpha, MatrixRef<const T> t,
                 MatrixRef<T> b, int threads) {
  if (alpha != T(1))
    for (int64_t i = 0; i < b.rows; ++i)
      for (int64_t j = 0; j < b.columns; ++j)
        b.at(i, j) *= alpha;
  solveTriangle(side, triangle, op, t, b, threads);
}

template <typename T> int64_t builtinPotrf(Triangle triangle, MatrixRef<T> a, int threads) {
  if (a.rows <= kLeaf)
    return potrfLeaf(triangle, a);
  const Halves<T> halves(triangle, a);
  const bool lower = triangle == Triangle::Lower;
  if (const int64_t bad = builtinPotrf(triangle, halves.low, threads))
    return bad;
  solveTriangle<T>(lower ? Side::Right : Side::Left, triangle, Transpose::Yes, halves.low,
                   halves.square, threads);
  builtinSyrk<T>(triangle, T(-1), halves.square, lower ? Transpose::No : Transpose::Yes, T(1),
                 halves.high, threads);
  const int64_t bad = builtinPotrf(triangle, halves.high, threads);
  return bad == 0 ? 0 : bad + halves.low.rows;
}

template <typename T> int64_t builtinPotri(Triangle triangle, MatrixRef<T> a, int threads) {
  for (int64_t i = 0; i < a.rows; ++i)
    if (a.at(i, i) == T(0))
      return i + 1;
  invertTriangle(triangle, a, threads);
  squareTriangle(triangle, a, threads);
  return 0;
}

#define GPTQC_INSTANTIATE(T)                                                                       \
  template void builtinSyrk(Triangle, T, MatrixRef<const T>, Transpose, T, MatrixRef<T>, int);     \
  template void builtinTrsm(Side, Triangle, Transpose, T, MatrixRef<const T>, MatrixRef<T>, int);  \
  template int64_t builtinPotrf(Triangle, MatrixRef<T>, int);                                      \
  template int64_t builtinPotri(Triangle, MatrixRef<T>, int);
GPTQC_INSTANTIATE(float)
GPTQC_INSTANTIATE(double)
#undef GPTQC_INSTANTIATE

} // namespace gptqc
