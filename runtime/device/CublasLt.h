// CublasLt: dense 16-bit GEMM from cuBLASLt, opened with dlopen. The yardstick that bench measures
// beside our kernels; nothing else needs the library.
#ifndef GPTQC_RUNTIME_DEVICE_CUBLASLT_H
#define GPTQC_RUNTIME_DEVICE_CUBLASLT_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/device/DeviceBuffer.h"

namespace gptqc {

/// Bytes of workspace that algorithms may use.
inline constexpr int64_t kCublasLtWorkspace = int64_t(64) << 20;

/// A loaded library with a handle on one device. Copies share it; one thread at a time.
class CublasLt {
public:
  /// Opens `path`, or, when it is empty, libcublasLt.so.13 or .12 from CUDA_HOME, the loader's
  /// path, /usr/local/cuda, and Python wheels. NotFound says what was tried.
  static Result<CublasLt> open(const Device &device, const std::string &path = "");

  const std::string &library() const;

private:
  friend class DenseGemm;
  struct State;
  std::shared_ptr<const State> state;
};

/// Y[M,N] = X[M,K] W[N,K]^T with fp32 accumulation; all row-major and of one type.
class DenseGemm {
public:
  /// Asks the heuristics for up to `count` algorithms. Unsupported when there is none.
  static Result<DenseGemm> create(const CublasLt &library, DType type, int64_t m, int64_t n,
                                  int64_t k, int count = 8);

  int algorithms() const;

  /// Runs one algorithm (0..algorithms()-1) in stream order; the workspace holds kCublasLtWorkspace
  /// bytes. Can be captured into a graph.
  Status run(int algorithm, CuDevicePtr w, CuDevicePtr x, CuDevicePtr y,
             const DeviceBuffer &workspace, const Stream &stream) const;

private:
  struct Problem;
  std::shared_ptr<const Problem> problem;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_CUBLASLT_H
