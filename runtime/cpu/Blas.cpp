// Symbol lookup, and the translation of our arguments into those of CBLAS and LAPACK.
#include "runtime/cpu/Blas.h"

#include <cassert>
#include <climits>
#include <cmath>
#include <dlfcn.h>

#include "runtime/core/Parallel.h"
#include "runtime/cpu/BuiltinGemm.h"
#include "runtime/cpu/BuiltinLapack.h"

namespace gptqc {
namespace {

// Values of the CBLAS enums.
constexpr int kRowMajor = 101, kNoTranspose = 111, kTransposed = 112, kUpper = 121, kLower = 122,
              kNonUnit = 131, kLeft = 141, kRight = 142;

int code(Transpose op) { return op == Transpose::Yes ? kTransposed : kNoTranspose; }
int code(Triangle triangle) { return triangle == Triangle::Upper ? kUpper : kLower; }
int code(Side side) { return side == Side::Left ? kLeft : kRight; }
/// LAPACK sees our matrices transposed.
const char *lapackCode(Triangle triangle) { return triangle == Triangle::Upper ? "L" : "U"; }

int narrow(int64_t size) {
  assert(size >= 0 && size <= INT_MAX && "sizes of matrices stay below 2^31");
  return int(size);
}

/// CBLAS wants a stride of at least 1, even for a matrix without columns.
template <typename T> int strideOf(MatrixRef<T> matrix) {
  return narrow(matrix.stride > 0 ? matrix.stride : 1);
}

template <typename T> int64_t rowsOf(MatrixRef<T> matrix, Transpose op) {
  return op == Transpose::Yes ? matrix.columns : matrix.rows;
}
template <typename T> int64_t columnsOf(MatrixRef<T> matrix, Transpose op) {
  return op == Transpose::Yes ? matrix.rows : matrix.columns;
}

/// OpenBLAS lets a NaN pass for a positive pivot.
template <typename T> int64_t firstBadPivot(MatrixRef<T> a) {
  for (int64_t i = 0; i < a.rows; ++i)
    if (!std::isfinite(a.at(i, i)))
      return i + 1;
  return 0;
}

} // namespace

struct Blas::Library {
#define X(result, name, parameters) result(*name) parameters = nullptr;
#include "runtime/cpu/Blas.def"
#undef X

  /// Fills the table; the name of the first symbol that is missing, or null.
  const char *resolve(void *handle) {
#define X(result, name, parameters)                                                                \
  name = reinterpret_cast<result(*) parameters>(dlsym(handle, #name));                             \
  if (!name)                                                                                       \
    return #name;
#include "runtime/cpu/Blas.def"
#undef X
    return nullptr;
  }
};

Blas Blas::builtin(int threads) {
  Blas blas;
  blas.threads = resolveThreads(threads);
  return blas;
}

Result<Blas> Blas::openblas(const std::string &library, int threads) {
  const std::string file = library.empty() ? "libopenblas.so.0" : library;
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return makeError(Code::NotFound, "OpenBLAS cannot be opened: {}", dlerror());
  auto table = std::make_shared<Library>();
  if (const char *missing = table->resolve(handle))
    return makeError(Code::NotFound, "{} has no {}; a build of OpenBLAS with LAPACK is needed",
                     file, missing);
  if (threads > 0)
    table->openblas_set_num_threads(threads);
  Blas blas;
  blas.libraryName = table->openblas_get_config();
  while (!blas.libraryName.empty() && blas.libraryName.back() == ' ')
    blas.libraryName.pop_back();
  blas.library = std::move(table);
  blas.threads = resolveThreads(threads);
  return blas;
}

Blas Blas::best(int threads) {
  Result<Blas> opened = openblas("", threads);
  return opened.ok() ? *opened : builtin(threads);
}

// One definition for both element types; `p` is the prefix of the BLAS names.
#define GPTQC_BLAS_TYPE(T, p)                                                                      \
  void Blas::gemm(T alpha, MatrixRef<const T> a, Transpose opA, MatrixRef<const T> b,              \
                  Transpose opB, T beta, MatrixRef<T> c) const {                                   \
    const int64_t k = columnsOf(a, opA);                                                           \
    assert(rowsOf(a, opA) == c.rows && columnsOf(b, opB) == c.columns && rowsOf(b, opB) == k);     \
    if (c.rows == 0 || c.columns == 0)                                                             \
      return;                                                                                      \
    if (!library)                                                                                  \
      return builtinGemm(alpha, a, opA, b, opB, beta, c, threads);                                 \
    library->cblas_##p##gemm(kRowMajor, code(opA), code(opB), narrow(c.rows), narrow(c.columns),   \
                             narrow(k), alpha, a.data, strideOf(a), b.data, strideOf(b), beta,     \
                             c.data, strideOf(c));                                                 \
  }                                                                                                \
  void Blas::syrk(Triangle triangle, T alpha, MatrixRef<const T> a, Transpose op, T beta,          \
                  MatrixRef<T> c) const {                                                          \
    assert(c.rows == c.columns && rowsOf(a, op) == c.rows);                                        \
    if (c.rows == 0)                                                                               \
      return;                                                                                      \
    if (!library)                                                                                  \
      return builtinSyrk(triangle, alpha, a, op, beta, c, threads);                                \
    library->cblas_##p##syrk(kRowMajor, code(triangle), code(op), narrow(c.rows),                  \
                             narrow(columnsOf(a, op)), alpha, a.data, strideOf(a), beta, c.data,   \
                             strideOf(c));                                                         \
  }                                                                                                \
  void Blas::trsm(Side side, Triangle triangle, Transpose op, T alpha, MatrixRef<const T> t,       \
                  MatrixRef<T> b) const {                                                          \
    assert(t.rows == t.columns && t.rows == (side == Side::Left ? b.rows : b.columns));            \
    if (b.rows == 0 || b.columns == 0)                                                             \
      return;                                                                                      \
    if (!library)                                                                                  \
      return builtinTrsm(side, triangle, op, alpha, t, b, threads);                                \
    library->cblas_##p##trsm(kRowMajor, code(side), code(triangle), code(op), kNonUnit,            \
                             narrow(b.rows), narrow(b.columns), alpha, t.data, strideOf(t),        \
                             b.data, strideOf(b));                                                 \
  }                                                                                                \
  int64_t Blas::potrf(Triangle triangle, MatrixRef<T> a) const {                                   \
    assert(a.rows == a.columns);                                                                   \
    if (!library || a.rows == 0)                                                                   \
      return builtinPotrf(triangle, a, threads);                                                   \
    const int n = narrow(a.rows), stride = strideOf(a);                                            \
    int info = 0;                                                                                  \
    library->p##potrf_(lapackCode(triangle), &n, a.data, &stride, &info, 1);                       \
    return info != 0 ? info : firstBadPivot(a);                                                    \
  }                                                                                                \
  int64_t Blas::potri(Triangle triangle, MatrixRef<T> a) const {                                   \
    assert(a.rows == a.columns);                                                                   \
    if (!library || a.rows == 0)                                                                   \
      return builtinPotri(triangle, a, threads);                                                   \
    const int n = narrow(a.rows), stride = strideOf(a);                                            \
    int info = 0;                                                                                  \
    library->p##potri_(lapackCode(triangle), &n, a.data, &stride, &info, 1);                       \
    return info;                                                                                   \
  }
GPTQC_BLAS_TYPE(float, s)
GPTQC_BLAS_TYPE(double, d)
#undef GPTQC_BLAS_TYPE

} // namespace gptqc
