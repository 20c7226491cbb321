// Cublas: matrix products, 16-bit with fp32 accumulation or fp32, by cuBLAS, which is opened with
// dlopen.
#ifndef GPTQC_RUNTIME_DEVICE_CUBLAS_H
#define GPTQC_RUNTIME_DEVICE_CUBLAS_H

#include <memory>
#include <string>

#include "runtime/core/Descriptor.h"
#include "runtime/device/DeviceBuffer.h"

namespace gptqc {

/// A row-major matrix on the GPU; `stride` in elements.
struct DeviceMatrix {
  CuDevicePtr data = 0;
  int64_t rows = 0, columns = 0, stride = 0;
};

/// Works in order of one stream; one thread at a time. Copies share the library.
class Cublas {
public:
  /// The stream must outlive this. Opens `path`, or, when it is empty, libcublas.so.13 or .12.
  /// NotFound says what was tried.
  static Result<Cublas> open(const Stream &stream, const std::string &path = "");

  /// Y[M,N] = X[M,K] W[N,K]^T, X and W of `type`; Y too, or fp32 when `wide`.
  Status product(DType type, const DeviceMatrix &x, const DeviceMatrix &w, const DeviceMatrix &y,
                 bool wide = false) const;
  /// The lower triangle of S[K,K] += X[M,K]^T X, S in fp32 without gaps; some of what lies above
  /// changes too. Products of 16-bit numbers are exact in fp32.
  Status addGram(DType type, const DeviceMatrix &x, CuDevicePtr sum) const;

  /// C[m,n] -= A[m,k] B[k,n], all fp32.
  Status subtractProduct(const DeviceMatrix &a, const DeviceMatrix &b, const DeviceMatrix &c) const;
  /// X U = B in place of B[rows,n], for an upper triangular U[n,n]; fp32 without gaps.
  Status solveRight(int64_t rows, int64_t n, CuDevicePtr u, CuDevicePtr b) const;

private:
  struct State;
  std::shared_ptr<const State> state;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_CUBLAS_H
