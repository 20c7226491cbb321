// Factoring and inverting fp32 matrices on a GPU for the solver: cuSOLVER, opened with dlopen.
#ifndef GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H
#define GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H

#include <memory>
#include <string>

#include "runtime/device/DeviceBuffer.h"

namespace gptqc {

/// Works in order of one stream. All matrices are row-major device memory; one thread at a time.
class CudaMath {
public:
  /// The stream must outlive this. Opens `path`, or, when it is empty, libcusolver.so.12 or .11.
  /// NotFound when the library is not there.
  static Result<CudaMath> open(const Stream &stream, const std::string &path = "");

  /// A[n,n] = L L^T in the lower triangle, the strict upper one untouched; false when A is not
  /// positive definite. Waits for the result.
  Result<bool> cholesky(int64_t n, CuDevicePtr a) const;
  /// Replaces a lower triangular matrix by its inverse; the strict upper triangle is not touched.
  Status invertLower(int64_t n, CuDevicePtr a) const;

private:
  struct State;
  std::shared_ptr<State> state; ///< with workspace, kept from call to call
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_CUDA_CUDAMATH_H
