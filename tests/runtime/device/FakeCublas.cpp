// A cuBLAS that computes, naively, on host memory: the fake driver's device memory.
#include <cstdint>
#include <cstring>

#include "runtime/core/Float16.h"

namespace {

int handles;

/// Element `index` of a matrix of a cudaDataType: 0 fp32, 2 f16, 14 bf16.
float load(const void *data, int type, int64_t index) {
  if (type == 0)
    return static_cast<const float *>(data)[index];
  return gptqc::toFloat(static_cast<const uint16_t *>(data)[index],
                        type == 2 ? gptqc::DType::F16 : gptqc::DType::BF16);
}

void store(void *data, int type, int64_t index, float value) {
  if (type == 0)
    static_cast<float *>(data)[index] = value;
  else
    static_cast<uint16_t *>(data)[index] =
        gptqc::fromFloat(value, type == 2 ? gptqc::DType::F16 : gptqc::DType::BF16);
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// The names are the library's.
// NOLINTBEGIN(readability-identifier-naming)
EXPORT int fakeCublasHandles() { return handles; }
EXPORT int cublasCreate_v2(void **handle) {
  ++handles;
  *handle = &handles;
  return 0;
}
EXPORT int cublasDestroy_v2(void *) {
  --handles;
  return 0;
}
EXPORT int cublasSetStream_v2(void *, void *) { return 0; }

/// C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C, all column-major.
EXPORT int cublasGemmEx(void *, int transA, int transB, int m, int n, int k, const void *alpha,
                        const void *a, int typeA, int lda, const void *b, int typeB, int ldb,
                        const void *beta, void *c, int typeC, int ldc, int compute, int) {
  if (compute != 68) // CUBLAS_COMPUTE_32F
    return 15;
  float scale = 0, keep = 0;
  std::memcpy(&scale, alpha, sizeof scale);
  std::memcpy(&keep, beta, sizeof keep);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < m; ++i) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += double(load(a, typeA, transA ? l + i * lda : i + l * lda)) *
               load(b, typeB, transB ? j + l * ldb : l + j * ldb);
      const float before = keep == 0 ? 0 : keep * load(c, typeC, i + j * ldc);
      store(c, typeC, i + j * ldc, float(scale * sum) + before);
    }
  return 0;
}

/// The same in fp32.
EXPORT int cublasSgemm_v2(void *handle, int transA, int transB, int m, int n, int k,
                          const float *alpha, const float *a, int lda, const float *b, int ldb,
                          const float *beta, float *c, int ldc) {
  return cublasGemmEx(handle, transA, transB, m, n, k, alpha, a, 0, lda, b, 0, ldb, beta, c, 0, ldc,
                      68, -1);
}

/// A X = alpha B in place of B[m,n], for a lower triangular A: the one form that is used.
EXPORT int cublasStrsm_v2(void *, int side, int uplo, int transA, int unit, int m, int n,
                          const float *alpha, const float *a, int lda, float *b, int ldb) {
  if (side != 0 || uplo != 0 || transA != 0 || unit != 0)
    return 15;
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < m; ++i) {
      double rest = double(*alpha) * b[i + j * ldb];
      for (int64_t l = 0; l < i; ++l)
        rest -= double(b[l + j * ldb]) * a[i + l * lda];
      b[i + j * ldb] = float(rest / a[i + i * lda]);
    }
  return 0;
}
// NOLINTEND(readability-identifier-naming)
