// fp32 linear algebra on a GPU for the solver: cuBLAS and cuSOLVER, opened with dlopen.
#ifndef GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H
#define GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H

#include <memory>

#include "runtime/device/DeviceBuffer.h"

namespace gptqc {

/// Works in order of one stream. All matrices are row-major device memory; one thread at a time.
class CudaMath {
public:
  /// The stream must outlive this. NotFound when a library is not there.
  static Result<CudaMath> open(const Stream &stream);

  /// A[n,n] = L L^T in the lower triangle, the strict upper one untouched; false when A is not
  /// positive definite. Waits for the result.
  Result<bool> cholesky(int64_t n, CuDevicePtr a) const;
  /// Replaces a lower triangular matrix by its inverse; the strict upper triangle is not touched.
  Status invertLower(int64_t n, CuDevicePtr a) const;
  /// C[m,n] -= A[m,k] B[k,n], with row strides.
  Status subtractProduct(int64_t m, int64_t n, int64_t k, CuDevicePtr a, int64_t lda, CuDevicePtr b,
                         int64_t ldb, CuDevicePtr c, int64_t ldc) const;
  /// X U = B in place of B[rows,n], which is stored by columns ([n,rows] in memory), for an upper
  /// triangular U[n,n].
  Status solveRight(int64_t rows, int64_t n, CuDevicePtr u, CuDevicePtr b) const;

private:
  struct State;
  std::shared_ptr<const State> state;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H
