// Dense linear algebra for the model runner and the solver: OpenBLAS where the machine has it
// (opened with dlopen), else built-in code of the same interface.
#ifndef GPTQC_RUNTIME_CPU_BLAS_H
#define GPTQC_RUNTIME_CPU_BLAS_H

#include <memory>
#include <string>

#include "runtime/core/Status.h"
#include "runtime/cpu/Matrix.h"

namespace gptqc {

/// Cheap to copy; every call may be made from any thread, and uses several threads itself. Sizes
/// and strides must be below 2^31 and fit each other (they are our own: asserted, not checked).
/// Matrices that are written must not overlap those that are read. Results of OpenBLAS may differ
/// in the last bits from the built-in ones, and both between processors; not between runs with the
/// same number of threads.
class Blas {
public:
  /// The built-in code, on `threads` threads (0: all of the machine).
  static Blas builtin(int threads = 0);

  /// OpenBLAS: `library`, or where that is empty libopenblas.so.0 by the loader's path. NotFound
  /// when it cannot be opened or lacks a function. A positive `threads` sets the number of threads
  /// of the library, for the whole process.
  static Result<Blas> openblas(const std::string &library = "", int threads = 0);

  /// OpenBLAS if there is one, else the built-in code.
  static Blas best(int threads = 0);

  /// "OpenBLAS 0.3.21 ..." or "built-in".
  const std::string &name() const { return libraryName; }

  /// C = alpha op(A) op(B) + beta C. C is not read where beta is 0.
  void gemm(float alpha, MatrixRef<const float> a, Transpose opA, MatrixRef<const float> b,
            Transpose opB, float beta, MatrixRef<float> c) const;
  void gemm(double alpha, MatrixRef<const double> a, Transpose opA, MatrixRef<const double> b,
            Transpose opB, double beta, MatrixRef<double> c) const;

  /// One triangle of C = alpha op(A) op(A)^T + beta C. op Yes: A^T A.
  void syrk(Triangle triangle, float alpha, MatrixRef<const float> a, Transpose op, float beta,
            MatrixRef<float> c) const;
  void syrk(Triangle triangle, double alpha, MatrixRef<const double> a, Transpose op, double beta,
            MatrixRef<double> c) const;

  /// Solves op(T) X = alpha B (Left) or X op(T) = alpha B (Right) in place of B, where T is a
  /// triangle with its diagonal. A zero on the diagonal gives infinities.
  void trsm(Side side, Triangle triangle, Transpose op, float alpha, MatrixRef<const float> t,
            MatrixRef<float> b) const;
  void trsm(Side side, Triangle triangle, Transpose op, double alpha, MatrixRef<const double> t,
            MatrixRef<double> b) const;

  /// Cholesky in place: the lower triangle becomes L with A = L L^T, the upper one U with
  /// A = U^T U. Returns 0, or j when the leading j x j block is not positive definite (or not
  /// finite); the triangle then holds no factor.
  int64_t potrf(Triangle triangle, MatrixRef<float> a) const;
  int64_t potrf(Triangle triangle, MatrixRef<double> a) const;

  /// The triangle of the inverse of A in place of its Cholesky factor (same triangle). Returns 0,
  /// or j when the factor's diagonal element j (from 1) is zero.
  int64_t potri(Triangle triangle, MatrixRef<float> a) const;
  int64_t potri(Triangle triangle, MatrixRef<double> a) const;

private:
  struct Library;
  std::shared_ptr<const Library> library; ///< null: built-in
  std::string libraryName = "built-in";
  int threads = 1; ///< of the built-in code
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_BLAS_H
