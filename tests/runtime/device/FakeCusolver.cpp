// A cuSOLVER that computes, naively, on host memory: the fake driver's device memory. The two
// functions that the solver calls, for fp32 and the lower triangle of a row-major matrix.
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace {

int handles;
constexpr int kUpper = 1, kNonUnit = 0, kReal32F = 0;

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// The names are the library's.
// NOLINTBEGIN(readability-identifier-naming)
EXPORT int cusolverDnCreate(void **handle) {
  ++handles;
  *handle = &handles;
  return 0;
}
EXPORT int cusolverDnDestroy(void *) {
  --handles;
  return 0;
}
EXPORT int cusolverDnSetStream(void *, void *) { return 0; }

EXPORT int cusolverDnSpotrf_bufferSize(void *, int, int n, float *, int, int *count) {
  *count = n;
  return 0;
}

/// A = L L^T; `info` is 0, or the order of the first minor that is not positive.
EXPORT int cusolverDnSpotrf(void *, int uplo, int n, float *a, int lda, float *, int count,
                            int *info) {
  if (uplo != kUpper || count < n)
    return 3;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double rest = a[i * lda + j];
      for (int64_t p = 0; p < j; ++p)
        rest -= double(a[i * lda + p]) * a[j * lda + p];
      if (i == j && !(rest > 0)) {
        *info = int(i + 1);
        return 0;
      }
      a[i * lda + j] = float(i == j ? std::sqrt(rest) : rest / a[j * lda + j]);
    }
  *info = 0;
  return 0;
}

EXPORT int cusolverDnXtrtri_bufferSize(void *, int, int, int64_t, int, void *, int64_t,
                                       size_t *device, size_t *host) {
  *device = *host = 16;
  return 0;
}

EXPORT int cusolverDnXtrtri(void *, int uplo, int diagonal, int64_t n, int type, void *matrix,
                            int64_t lda, void *, size_t, void *, size_t, int *info) {
  if (uplo != kUpper || diagonal != kNonUnit || type != kReal32F)
    return 3;
  auto *a = static_cast<float *>(matrix);
  for (int64_t j = 0; j < n; ++j) { // columns of the inverse replace those of L from the left
    for (int64_t i = j; i < n; ++i) {
      double sum = i == j ? 1 : 0;
      for (int64_t p = j; p < i; ++p)
        sum -= double(a[i * lda + p]) * a[p * lda + j];
      a[i * lda + j] = float(sum / a[i * lda + i]);
    }
  }
  *info = 0;
  return 0;
}
// NOLINTEND(readability-identifier-naming)
