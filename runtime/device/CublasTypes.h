// What both users of NVIDIA's matrix libraries declare for themselves: values of enums, and what a
// status means.
#ifndef GPTQC_RUNTIME_DEVICE_CUBLASTYPES_H
#define GPTQC_RUNTIME_DEVICE_CUBLASTYPES_H

#include "runtime/core/Status.h"

namespace gptqc {

/// cudaDataType_t and cublasComputeType_t.
inline constexpr int kReal32F = 0, kReal16F = 2, kReal16BF = 14, kCompute32F = 68;

/// DeviceError unless `result` is CUBLAS_STATUS_SUCCESS.
inline Status checkCublas(int result, const char *function) {
  if (result == 0)
    return {};
  return makeError(Code::DeviceError, "{} failed with cuBLAS status {}", function, result);
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_CUBLASTYPES_H
