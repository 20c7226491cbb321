// The read floor and the dense GEMM.
#include "cli/bench/Competitors.h"

#include <algorithm>

#include "runtime/cpu/Random.h"
#include "runtime/device/SupportArgs.h"

namespace gptqc::cli {
namespace {

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Threads of a block and blocks per multiprocessor that are tried.
constexpr struct {
  int threads, blocksPerSm;
} kFloorShapes[] = {{256, 4}, {256, 8}, {512, 2}, {512, 4}, {1024, 1}, {1024, 2}};

} // namespace

Result<ReadFloor> ReadFloor::create(const CudaContext &context) {
  GPTQC_ASSIGN(Function kernel, context.supportKernel("support/read_floor.cu", "read_floor"));
  ReadFloor floor(std::move(kernel));
  GPTQC_ASSIGN(floor.sink, DeviceBuffer::allocateZeroed(context.device(), 256));
  return floor;
}

/// Random data: the power that a read takes depends on it.
Status ReadFloor::grow(const Device &device, int64_t bytes) {
  if (pool.bytes() >= bytes)
    return {};
  pool = DeviceBuffer();
  GPTQC_ASSIGN(pool, DeviceBuffer::allocate(device, bytes));
  std::vector<uint64_t> block(size_t(std::min<int64_t>(bytes, int64_t(1) << 26) / 8));
  Random random(1);
  for (uint64_t &word : block)
    word = random.next() | 1;
  const int64_t blockBytes = int64_t(block.size() * 8);
  for (int64_t at = 0; at < bytes; at += blockBytes)
    GPTQC_TRY(pool.write(block.data(), std::min(blockBytes, bytes - at), at));
  return {};
}

Result<Workload> ReadFloor::workload(const CudaContext &context, const GraphTimer &timer,
                                     int64_t bytes) {
  const DeviceInfo &info = context.device().info();
  const int64_t window = ceilDiv(bytes, 256) * 256;
  const int copies = rotationCopies(window, info.l2Bytes);
  GPTQC_TRY(grow(context.device(), window * copies));
  Workload best;
  double bestTime = 0;
  for (const auto &shape : kFloorShapes) {
    const Grid grid{int64_t(info.target.plannedSmCount()) * shape.blocksPerSm, 1, 1};
    Workload candidate;
    candidate.copies = copies;
    candidate.launch = [this, &context, grid, window, bytes, threads = shape.threads](int copy) {
      ReadFloorArgs args;
      args.data = pool.address() + uint64_t(copy * window);
      args.count = ceilDiv(bytes, 16);
      args.sink = sink.address();
      return kernel.launch(grid, threads, &args, context.stream());
    };
    GPTQC_ASSIGN(const double time, timer.estimate(candidate));
    if (!best.launch || time < bestTime) {
      best = std::move(candidate);
      bestTime = time;
    }
  }
  return best;
}

Result<DenseWeights> DenseWeights::create(const CudaContext &context, const Descriptor &descriptor,
                                          const PlainLayer &layer) {
  const Descriptor &d = descriptor;
  const Device &device = context.device();
  GPTQC_ASSIGN(const Function kernel,
               context.supportKernel("support/dequantize.cu", "dequantize_dense"));
  DequantizeArgs args;
  args.codes = layer.codes.address();
  args.zeros = layer.zeros.address();
  args.scales = layer.scales.address();
  args.groupOf = layer.groupOf.address();
  args.n = d.n;
  args.k = d.k;
  args.symZero = d.symZero();
  args.outBf16 = d.act == DType::BF16;
  args.scaleBf16 = d.scales == DType::BF16;
  DenseWeights weights;
  const int64_t bytes = d.n * d.k * 2;
  const int copies = rotationCopies(bytes, device.info().l2Bytes);
  for (int i = 0; i < copies; ++i) {
    GPTQC_ASSIGN(DeviceBuffer buffer, DeviceBuffer::allocate(device, bytes));
    args.dense = buffer.address();
    GPTQC_TRY(kernel.launch({ceilDiv(d.n, 32), ceilDiv(d.k, 32), 1}, 256, &args, context.stream()));
    weights.buffers.push_back(std::move(buffer));
  }
  GPTQC_TRY(context.stream().synchronize().withContext("dequantizing for the dense comparison"));
  return weights;
}

Workload DenseRun::workloadOf(const CudaContext &context, int algorithm) const {
  Workload workload;
  workload.copies = weights->copies();
  workload.launch = [this, &context, algorithm](int copy) {
    return gemm.run(algorithm, weights->copy(copy), x, y.address(), workspace, context.stream());
  };
  return workload;
}

Workload DenseRun::workload(const CudaContext &context) const { return workloadOf(context, best); }

Result<DenseRun> DenseRun::create(const CudaContext &context, const GraphTimer &timer,
                                  const CublasLt &library, const Descriptor &descriptor, int64_t m,
                                  const DenseWeights &weights, CuDevicePtr x) {
  GPTQC_ASSIGN(DenseGemm gemm,
               DenseGemm::create(library, descriptor.act, m, descriptor.n, descriptor.k));
  DenseRun run(std::move(gemm), weights, x);
  GPTQC_ASSIGN(run.y, DeviceBuffer::allocate(context.device(), m * descriptor.n * 2));
  GPTQC_ASSIGN(run.workspace, DeviceBuffer::allocate(context.device(), kCublasLtWorkspace));
  double bestTime = 0;
  for (int i = 0; i < run.gemm.algorithms(); ++i) {
    GPTQC_ASSIGN(const double time, timer.estimate(run.workloadOf(context, i)));
    if (i == 0 || time < bestTime) {
      run.best = i;
      bestTime = time;
    }
  }
  return run;
}

} // namespace gptqc::cli
