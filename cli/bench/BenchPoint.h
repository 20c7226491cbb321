// A point of a measurement on the GPU: a synthetic layer, in as many copies as exceed the cache,
// activations, the reference of some rows, and kernels that are checked against it and timed.
#ifndef GPTQC_CLI_BENCH_BENCHPOINT_H
#define GPTQC_CLI_BENCH_BENCHPOINT_H

#include <vector>

#include "cli/bench/GraphTimer.h"
#include "cli/check/CudaReference.h"
#include "runtime/cpu/Compare.h"

namespace gptqc::cli {

/// One layer for all points that differ in M alone.
class BenchLayer {
public:
  static Result<BenchLayer> create(const CudaContext &context, const Descriptor &descriptor,
                                   uint64_t seed, int threads);
  bool serves(const Descriptor &descriptor) const;

  const QuantizedMatrix &matrix() const { return weights; }
  const PlainLayer &plain() const { return plainForm; }
  const std::vector<DeviceLayer> &copies() const { return packed; }

private:
  BenchLayer() = default;

  Descriptor key; ///< M and what follows from it left out
  QuantizedMatrix weights;
  PlainLayer plainForm;
  std::vector<DeviceLayer> packed;
  int64_t l2Bytes = 0;
};

/// Activations for m tokens, room for the output, and what some of its rows should be. Borrows the
/// context and the layer.
class BenchPoint {
public:
  static Result<BenchPoint> create(const CudaContext &context, const CudaReference &reference,
                                   const BenchLayer &layer, int64_t m, uint64_t seed, int threads);

  int64_t tokens() const { return m; }
  /// [m, K], row stride K.
  CuDevicePtr activations() const { return x.address(); }
  const Reference &reference() const { return expected; }
  /// Where the experts' rows begin, int32 on the GPU; 0 for a plain layer.
  CuDevicePtr expertOffsets() const { return offsets.address(); }
  /// The rows of a matrix on the GPU that the reference is of.
  Result<std::vector<uint16_t>> sampledRows(const DeviceBuffer &matrix, int64_t columns) const;

private:
  friend class PointKernel;
  BenchPoint() = default;

  const CudaContext *context = nullptr;
  const BenchLayer *layer = nullptr;
  int64_t m = 0;
  std::vector<uint16_t> hostX;
  DeviceBuffer x, offsets;
  std::vector<int64_t> rows;
  Reference expected;
};

/// A kernel with the memory that it needs at a point, which it borrows.
class PointKernel {
public:
  static Result<PointKernel> create(const BenchPoint &point, LinearKernel kernel);

  /// Runs it on every copy of the weights, into poisoned memory, and compares the last result: its
  /// relative Frobenius error, or Internal with the command that repeats it.
  Result<double> check();
  /// Valid while this lives, and not moved.
  Workload workload() const;

  /// One run with copy `copy` of the weights, on the point's activations or on X elsewhere, which
  /// has the kernel's alignment. `overlaps` as in LinearKernel::run.
  Status run(int copy, bool overlaps = false) const;
  Status run(int copy, CuDevicePtr x, int64_t ldx, bool overlaps) const;
  /// [m, output columns], without gaps.
  const DeviceBuffer &output() const { return y; }
  /// Makes all outputs kPoison, in stream order.
  Status poison() { return y.fill16(kPoison, point->context->stream()); }

private:
  PointKernel(const BenchPoint &point, LinearKernel kernel)
      : point(&point), kernel(std::move(kernel)) {}

  const BenchPoint *point;
  LinearKernel kernel;
  int64_t stride = 0;
  DeviceBuffer paddedX, y, workspace;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_BENCHPOINT_H
