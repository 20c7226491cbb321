// What our kernels are measured beside: the pure-read kernel over the same bytes, and cuBLASLt's
// dense GEMM on the dequantized weights.
#ifndef GPTQC_CLI_BENCH_COMPETITORS_H
#define GPTQC_CLI_BENCH_COMPETITORS_H

#include <optional>
#include <vector>

#include "cli/bench/GraphTimer.h"
#include "cli/check/CudaReference.h"
#include "runtime/device/CublasLt.h"

namespace gptqc::cli {

/// Reads a number of bytes and does nothing else.
class ReadFloor {
public:
  static Result<ReadFloor> create(const CudaContext &context);

  /// The best launch shape for `bytes`, over rotating windows of random data. Valid until the next
  /// call or the end of this.
  Result<Workload> workload(const CudaContext &context, const GraphTimer &timer, int64_t bytes);

private:
  explicit ReadFloor(Function kernel) : kernel(std::move(kernel)) {}
  Status grow(const Device &device, int64_t bytes);

  Function kernel;
  DeviceBuffer pool, sink;
};

/// W in f16 or bf16, [N,K], often enough to exceed the cache.
class DenseWeights {
public:
  static Result<DenseWeights> create(const CudaContext &context, const Descriptor &descriptor,
                                     const PlainLayer &layer);
  int copies() const { return int(buffers.size()); }
  CuDevicePtr copy(int index) const { return buffers[size_t(index)].address(); }

private:
  std::vector<DeviceBuffer> buffers;
};

/// One dense problem with the fastest of the algorithms that the heuristics propose.
class DenseRun {
public:
  /// Borrows the weights and x ([m,K], row stride K).
  static Result<DenseRun> create(const CudaContext &context, const GraphTimer &timer,
                                 const CublasLt &library, const Descriptor &descriptor, int64_t m,
                                 const DenseWeights &weights, CuDevicePtr x);
  /// Valid while this lives.
  Workload workload(const CudaContext &context) const;
  /// [m, N]; holds a result once the workload has run.
  const DeviceBuffer &output() const { return y; }

private:
  DenseRun(DenseGemm gemm, const DenseWeights &weights, CuDevicePtr x)
      : gemm(std::move(gemm)), weights(&weights), x(x) {}
  Workload workloadOf(const CudaContext &context, int algorithm) const;

  DenseGemm gemm;
  const DenseWeights *weights;
  CuDevicePtr x;
  DeviceBuffer y, workspace;
  int best = 0;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_COMPETITORS_H
