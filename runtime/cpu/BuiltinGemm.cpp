// The usual scheme (Goto, van de Geijn 2008): B is packed once per slab of k, every thread packs
// its rows of A, and a tile of C stays in registers while k runs. For a few rows packing would cost
// more than the product; there each element of C is a dot product.
#include "runtime/cpu/BuiltinGemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

constexpr int64_t kTileRows = 6; ///< rows of C in registers
constexpr int64_t kMaxTileColumns = 64;
constexpr int64_t kFewRows = 4;        ///< of C, that take dot products
constexpr int64_t kDotColumns = 32;    ///< columns of C that a thread takes at a time
constexpr int64_t kSlab = 256;         ///< k of one packed slab
constexpr int64_t kRowBlock = 96;      ///< rows of A that a thread packs at a time
constexpr int64_t kColumnBlock = 4096; ///< columns of B packed at a time
constexpr double kWorthThreads = 1e6;  ///< multiply-adds below which starting threads costs more

#define GPTQC_INLINE inline __attribute__((always_inline))

/// out[6][Parts vectors] = sum over p < k of a[p][6] b[p][Parts vectors].
template <typename T, typename Vector, int Parts>
GPTQC_INLINE void multiplyTile(const T *a, const T *b, int64_t k, T *out) {
  constexpr int64_t kColumns = Parts * (sizeof(Vector) / sizeof(T));
  Vector sums[kTileRows][Parts] = {};
  for (int64_t p = 0; p < k; ++p) {
    Vector columns[Parts];
    std::memcpy(columns, b + p * kColumns, sizeof(columns));
#pragma GCC unroll 6
    for (int row = 0; row < kTileRows; ++row) {
      const T value = a[p * kTileRows + row];
#pragma GCC unroll 4
      for (int part = 0; part < Parts; ++part)
        sums[row][part] += columns[part] * value;
    }
  }
  std::memcpy(out, sums, sizeof(sums));
}

/// out[j] += alpha * sum over p < k of a[p] b[j * stride + p].
template <typename T, typename Vector>
GPTQC_INLINE void multiplyLines(const T *a, const T *b, int64_t stride, int64_t count, int64_t k,
                                T alpha, T *out) {
  constexpr int64_t kWidth = sizeof(Vector) / sizeof(T), kChains = 4;
  for (int64_t j = 0; j < count; ++j) {
    const T *line = b + j * stride;
    Vector sums[kChains] = {};
    int64_t p = 0;
    for (; p + kChains * kWidth <= k; p += kChains * kWidth) {
      Vector x[kChains], y[kChains];
      std::memcpy(x, a + p, sizeof(x));
      std::memcpy(y, line + p, sizeof(y));
#pragma GCC unroll 4
      for (int chain = 0; chain < kChains; ++chain)
        sums[chain] += x[chain] * y[chain];
    }
    T total = 0;
    for (; p < k; ++p)
      total += a[p] * line[p];
    const Vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int64_t lane = 0; lane < kWidth; ++lane)
      total += sum[lane];
    out[j] += alpha * total;
  }
}

/// The loops for this processor, and the columns of its tile.
template <typename T> struct Kernel {
  int64_t columns;
  void (*run)(const T *a, const T *b, int64_t k, T *out);
  void (*dots)(const T *a, const T *b, int64_t stride, int64_t count, int64_t k, T alpha, T *out);
};

template <typename T> struct Loops {
  typedef T Vector16 __attribute__((vector_size(16)));
  static void generic(const T *a, const T *b, int64_t k, T *out) {
    multiplyTile<T, Vector16, 2>(a, b, k, out);
  }
  static void genericDots(const T *a, const T *b, int64_t stride, int64_t count, int64_t k, T alpha,
                          T *out) {
    multiplyLines<T, Vector16>(a, b, stride, count, k, alpha, out);
  }
#if defined(__x86_64__)
  typedef T Vector32 __attribute__((vector_size(32)));
  typedef T Vector64 __attribute__((vector_size(64)));
  __attribute__((target("avx2,fma"))) static void avx2(const T *a, const T *b, int64_t k, T *out) {
    multiplyTile<T, Vector32, 2>(a, b, k, out);
  }
  __attribute__((target("avx512f"))) static void avx512(const T *a, const T *b, int64_t k, T *out) {
    multiplyTile<T, Vector64, 4>(a, b, k, out);
  }
  __attribute__((target("avx2,fma"))) static void
  avx2Dots(const T *a, const T *b, int64_t stride, int64_t count, int64_t k, T alpha, T *out) {
    multiplyLines<T, Vector32>(a, b, stride, count, k, alpha, out);
  }
#endif
  static Kernel<T> choose() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
      return {int64_t(4 * 64 / sizeof(T)), avx512, avx2Dots}; // dots are bound by memory
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      return {int64_t(2 * 32 / sizeof(T)), avx2, avx2Dots};
#endif
    return {int64_t(2 * 16 / sizeof(T)), generic, genericDots};
  }
};

/// A matrix seen as lines of k elements: rows of op(A) or columns of op(B).
template <typename T> struct Lines {
  const T *data;
  int64_t stride;
  bool contiguous; ///< a line's elements are neighbours; else those of one k are
};

/// Lines `first`.. in panels of `width` (the last one filled with zeros): out[panel][k][width].
template <typename T>
void packPanel(const Lines<T> &lines, int64_t first, int64_t count, int64_t width, int64_t k0,
               int64_t k, T *out) {
  if (count < width)
    std::fill_n(out, width * k, T(0));
  if (lines.contiguous) {
    for (int64_t line = 0; line < count; ++line) {
      const T *source = lines.data + (first + line) * lines.stride + k0;
      for (int64_t p = 0; p < k; ++p)
        out[p * width + line] = source[p];
    }
    return;
  }
  for (int64_t p = 0; p < k; ++p)
    std::copy_n(lines.data + (k0 + p) * lines.stride + first, count, out + p * width);
}

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <typename T> void scale(T beta, MatrixRef<T> c) {
  for (int64_t i = 0; i < c.rows && beta != T(1); ++i) {
    if (beta == T(0))
      std::fill_n(c.row(i), c.columns, T(0));
    else
      for (int64_t j = 0; j < c.columns; ++j)
        c.at(i, j) *= beta;
  }
}

/// One slab of k and one block of columns.
template <typename T> class SlabProduct {
public:
  SlabProduct(const Kernel<T> &kernel, T alpha, int threads)
      : kernel(kernel), alpha(alpha), threads(threads), scratch(size_t(threads)) {}

  void run(const Lines<T> &a, const Lines<T> &b, int64_t k0, int64_t k, int64_t column,
           MatrixRef<T> c) {
    const int64_t panels = ceilDiv(c.columns, kernel.columns);
    packed.resize(size_t(panels * k * kernel.columns));
    parallelFor(panels, threads, [&](int64_t panel, int) {
      const int64_t first = panel * kernel.columns;
      packPanel(b, column + first, std::min(kernel.columns, c.columns - first), kernel.columns, k0,
                k, packed.data() + panel * k * kernel.columns);
    });
    // Few rows: the columns are divided among the threads as well.
    const int64_t rowBlocks = ceilDiv(c.rows, kRowBlock);
    const int64_t parts = std::min(panels, ceilDiv(4 * threads, rowBlocks));
    parallelFor(rowBlocks * parts, threads, [&](int64_t task, int worker) {
      const int64_t row = task / parts * kRowBlock, part = task % parts;
      multiplyRows(a, k0, k, row, std::min(kRowBlock, c.rows - row), panels * part / parts,
                   panels * (part + 1) / parts, c, scratch[size_t(worker)]);
    });
  }

private:
  void multiplyRows(const Lines<T> &a, int64_t k0, int64_t k, int64_t row, int64_t rows,
                    int64_t firstPanel, int64_t endPanel, MatrixRef<T> c, std::vector<T> &aPacked) {
    const int64_t rowPanels = ceilDiv(rows, kTileRows);
    aPacked.resize(size_t(rowPanels * kTileRows * k));
    for (int64_t i = 0; i < rowPanels; ++i)
      packPanel(a, row + i * kTileRows, std::min(kTileRows, rows - i * kTileRows), kTileRows, k0, k,
                aPacked.data() + i * kTileRows * k);
    T tile[kTileRows * kMaxTileColumns];
    for (int64_t panel = firstPanel; panel < endPanel; ++panel) {
      const int64_t column = panel * kernel.columns;
      const int64_t columns = std::min(kernel.columns, c.columns - column);
      for (int64_t i = 0; i < rowPanels; ++i) {
        kernel.run(aPacked.data() + i * kTileRows * k, packed.data() + panel * k * kernel.columns,
                   k, tile);
        const int64_t tileRows = std::min(kTileRows, rows - i * kTileRows);
        for (int64_t r = 0; r < tileRows; ++r) {
          T *out = c.row(row + i * kTileRows + r) + column;
          for (int64_t j = 0; j < columns; ++j)
            out[j] += alpha * tile[r * kernel.columns + j];
        }
      }
    }
  }

  Kernel<T> kernel;
  T alpha;
  int threads;
  std::vector<T> packed;               ///< B: [panel][k][columns]
  std::vector<std::vector<T>> scratch; ///< A, for each worker
};

} // namespace

template <typename T>
void builtinGemm(T alpha, MatrixRef<const T> a, Transpose opA, MatrixRef<const T> b, Transpose opB,
                 T beta, MatrixRef<T> c, int threads) {
  const int64_t k = opA == Transpose::Yes ? a.rows : a.columns;
  scale(beta, c);
  if (double(c.rows) * double(c.columns) * double(k) < kWorthThreads)
    threads = 1;
  const Kernel<T> kernel = Loops<T>::choose();
  if (c.rows <= kFewRows && opA == Transpose::No && opB == Transpose::Yes) {
    parallelFor(ceilDiv(c.columns, kDotColumns), threads, [&](int64_t block, int) {
      const int64_t column = block * kDotColumns;
      for (int64_t row = 0; row < c.rows; ++row)
        kernel.dots(a.row(row), b.row(column), b.stride, std::min(kDotColumns, c.columns - column),
                    k, alpha, c.row(row) + column);
    });
    return;
  }
  SlabProduct<T> product(kernel, alpha, threads);
  const Lines<T> aLines = {a.data, a.stride, opA == Transpose::No};
  const Lines<T> bLines = {b.data, b.stride, opB == Transpose::Yes};
  for (int64_t column = 0; column < c.columns; column += kColumnBlock)
    for (int64_t k0 = 0; k0 < k; k0 += kSlab)
      product.run(aLines, bLines, k0, std::min(kSlab, k - k0), column,
                  c.block(0, column, c.rows, std::min(kColumnBlock, c.columns - column)));
}

template void builtinGemm(float, MatrixRef<const float>, Transpose, MatrixRef<const float>,
                          Transpose, float, MatrixRef<float>, int);
template void builtinGemm(double, MatrixRef<const double>, Transpose, MatrixRef<const double>,
                          Transpose, double, MatrixRef<double>, int);

} // namespace gptqc
