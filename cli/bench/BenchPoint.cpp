// Makes layers and points; checks kernels.
#include "cli/bench/BenchPoint.h"

#include <algorithm>

#include "runtime/cpu/Synthetic.h"

namespace gptqc::cli {
namespace {

constexpr int64_t kSampledRows = 64; ///< rows of Y that are compared with the reference

/// The weights do not depend on M: points that differ in it alone share a layer.
Descriptor layerOf(const Descriptor &descriptor) {
  Descriptor layer = descriptor.canonical();
  layer.m = {1, kUnboundedM};
  layer.batchInvariant = false;
  return layer;
}

/// Copies of `bytes` that the points of a descriptor rotate over. Of a grouped layer, a launch may
/// read no more than one expert for each row.
int copiesFor(const Descriptor &descriptor, int64_t bytes, int64_t l2Bytes) {
  constexpr int64_t kMostBytes = int64_t(8) << 30; // of all copies
  const int64_t hit = std::min<int64_t>(descriptor.experts, descriptor.m.lo);
  const int copies = rotationCopies(bytes / descriptor.experts * hit, l2Bytes);
  return int(std::clamp<int64_t>(kMostBytes / std::max<int64_t>(bytes, 1), 1, copies));
}

/// Where the experts' sampled rows begin among all sampled rows.
std::vector<int32_t> sampledOffsets(std::span<const int32_t> offsets,
                                    const std::vector<int64_t> &rows) {
  std::vector<int32_t> sampled;
  for (const int32_t offset : offsets)
    sampled.push_back(int32_t(std::lower_bound(rows.begin(), rows.end(), offset) - rows.begin()));
  return sampled;
}

} // namespace

bool BenchLayer::serves(const Descriptor &descriptor) const {
  return key == layerOf(descriptor) &&
         int(packed.size()) >= copiesFor(descriptor, packed[0].bytes(), l2Bytes);
}

Result<BenchLayer> BenchLayer::create(const CudaContext &context, const Descriptor &descriptor,
                                      uint64_t seed, int threads) {
  BenchLayer layer;
  const Device &device = context.device();
  layer.key = layerOf(descriptor);
  layer.l2Bytes = device.info().l2Bytes;
  GPTQC_ASSIGN(layer.weights, syntheticLayer(layer.key, seed, threads));
  GPTQC_ASSIGN(layer.plainForm, PlainLayer::upload(device, layer.weights));
  GPTQC_ASSIGN(DeviceLayer first, DeviceLayer::fromCodes(device, context.repack(), layer.weights));
  const int copies = copiesFor(descriptor, first.bytes(), layer.l2Bytes);
  GPTQC_ASSIGN(const PackedWeights form, first.download());
  layer.packed.push_back(std::move(first));
  for (int i = 1; i < copies; ++i) {
    GPTQC_ASSIGN(DeviceLayer copy, DeviceLayer::upload(device, form));
    layer.packed.push_back(std::move(copy));
  }
  return layer;
}

Result<BenchPoint> BenchPoint::create(const CudaContext &context, const CudaReference &reference,
                                      const BenchLayer &layer, int64_t m, uint64_t seed,
                                      int threads) {
  BenchPoint point;
  point.context = &context;
  point.layer = &layer;
  point.m = m;
  const Descriptor &d = layer.matrix().descriptor;
  point.hostX = syntheticActivations(Inputs::Normal, m, d.k, d.act, seed, threads);
  GPTQC_ASSIGN(point.x, DeviceBuffer::upload(context.device(), point.hostX));
  // Up to 64 rows from the first to the last.
  const int64_t count = std::min(m, kSampledRows);
  std::vector<uint16_t> sampled;
  sampled.reserve(size_t(count * d.k));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = count == 1 ? 0 : i * (m - 1) / (count - 1);
    point.rows.push_back(row);
    sampled.insert(sampled.end(), point.hostX.begin() + row * d.k,
                   point.hostX.begin() + (row + 1) * d.k);
  }
  const std::vector<int32_t> offsets = benchOffsets(d, m);
  GPTQC_ASSIGN(point.offsets, DeviceBuffer::upload(context.device(), offsets));
  GPTQC_ASSIGN(point.expected, reference.compute(context, layer.matrix(), layer.plain(), sampled,
                                                 count, sampledOffsets(offsets, point.rows)));
  return point;
}

Result<std::vector<uint16_t>> BenchPoint::sampledRows(const DeviceBuffer &matrix,
                                                      int64_t columns) const {
  std::vector<uint16_t> values(rows.size() * size_t(columns));
  for (size_t i = 0; i < rows.size(); ++i)
    GPTQC_TRY(matrix.read(values.data() + i * size_t(columns), columns * 2, rows[i] * columns * 2));
  return values;
}

Result<PointKernel> PointKernel::create(const BenchPoint &point, LinearKernel linear) {
  PointKernel made(point, std::move(linear));
  const Device &device = point.context->device();
  const Descriptor &d = made.kernel.descriptor();
  made.stride = rowStride(made.kernel);
  if (made.stride != d.k) {
    GPTQC_ASSIGN(made.paddedX,
                 DeviceBuffer::upload(device, padRows(point.hostX, point.m, d.k, made.stride)));
  }
  GPTQC_ASSIGN(made.y, DeviceBuffer::allocate(device, point.m * d.outputColumns() * 2));
  GPTQC_ASSIGN(made.workspace,
               DeviceBuffer::allocateZeroed(device, made.kernel.workspaceBytes(point.m)));
  return made;
}

Status PointKernel::run(int copy, bool overlaps) const {
  return run(copy, paddedX.address() ? paddedX.address() : point->activations(), stride, overlaps);
}

Status PointKernel::run(int copy, CuDevicePtr from, int64_t ldx, bool overlaps) const {
  return kernel.run(point->layer->copies()[size_t(copy)], from, ldx, point->m, y.address(),
                    kernel.descriptor().outputColumns(), workspace, point->context->stream(),
                    overlaps, point->expertOffsets());
}

Result<double> PointKernel::check() {
  const Descriptor &d = kernel.descriptor();
  const Stream &stream = point->context->stream();
  GPTQC_TRY(poison());
  for (size_t copy = 0; copy < point->layer->copies().size(); ++copy)
    GPTQC_TRY(run(int(copy)));
  GPTQC_TRY(stream.synchronize().withContext(fmt::format("kernel `{}`", kernel.schedule())));
  GPTQC_ASSIGN(const std::vector<uint16_t> values, point->sampledRows(y, d.outputColumns()));
  const Comparison result = compareOutput(d, point->expected, values.data(), d.outputColumns());
  if (!result.passed())
    return makeError(Code::Internal,
                     "wrong result, not timed: {} (repeat it with: gptqc verify --descriptor '{}' "
                     "--m {} --schedule '{}')",
                     result.explain(), d.print(), point->m, kernel.schedule());
  return result.relativeFrobenius;
}

Workload PointKernel::workload() const {
  Workload work;
  work.copies = int(point->layer->copies().size());
  work.launch = [this](int copy) { return run(copy); };
  return work;
}

} // namespace gptqc::cli
