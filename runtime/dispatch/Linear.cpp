// Upload of the parts, and the way of a run from m to a launch.
#include "runtime/dispatch/Linear.h"

#include <algorithm>
#include <bit>

#include "runtime/core/Experts.h"

namespace gptqc {
namespace {

constexpr int64_t kElementBytes = 2, kAlignment = 256;

int64_t alignUp(int64_t value, int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Row stride, in elements, of X that was copied into the workspace.
int64_t stagedStride(int64_t k) { return alignUp(k, 16 / kElementBytes); }

/// Staged X lies behind the counters and partial sums of the kernel.
int64_t stagedOffset(const LinearKernel &kernel, int64_t m) {
  return alignUp(std::max(kCounterBytes, kernel.workspaceBytes(m)), kAlignment);
}

bool isAligned(const LinearKernel &kernel, CuDevicePtr x, int64_t ldx, int64_t m) {
  const auto vector = uint64_t(kernel.launch().xVector);
  return x % vector == 0 && (m <= 1 || uint64_t(ldx * kElementBytes) % vector == 0);
}

Status copyRows(const Device &device, CuMemcpy2D copy, const Stream &stream) {
  const ContextScope scope(device);
  const bool oneBlock = copy.sourcePitch == copy.widthBytes && copy.targetPitch == copy.widthBytes;
  if (oneBlock && copy.sourceType == CuMemcpy2D::kHost) // one long copy is faster than short rows
    return device.check(device.api().cuMemcpyHtoDAsync_v2(copy.targetDevice, copy.sourceHost,
                                                          copy.widthBytes * copy.height,
                                                          stream.handle()),
                        "copy to the GPU");
  return device.check(device.api().cuMemcpy2DAsync_v2(&copy, stream.handle()), "cuMemcpy2DAsync");
}

Status checkPart(const LinearPart &part) {
  const Descriptor &d = part.facts.descriptor;
  if (!part.words)
    return invalidArgument("layer '{}': qweight is null", d.print());
  if (d.k * d.bits % 32 != 0)
    return invalidArgument("layer '{}': K = {} codes do not fill whole words", d.print(), d.k);
  const bool wordsStandAlone = d.bits == 2 || d.bits == 4 || d.bits == 8;
  if (!wordsStandAlone && d.k % 32 != 0)
    return invalidArgument(
        "layer '{}': {}-bit words hold blocks of 32 codes; K = {} is no multiple", d.print(),
        d.bits, d.k);
  return Status();
}

/// The used columns of all parts' words side by side, on the device; `owned` keeps them.
Result<RepackSource> gatherWords(const Device &device, std::span<const LinearPart> parts,
                                 const LayerShape &shape, const Stream &stream,
                                 DeviceBuffer &owned) {
  RepackSource source;
  source.columns = shape.columns;
  source.kind =
      parts[0].packing == WordPacking::Planar ? RepackSource::Planar : RepackSource::Continuous;
  for (const LinearPart &part : parts)
    if (part.packing != parts[0].packing)
      return invalidArgument("the parts of a fused layer pack their words differently; repack one");
  const Descriptor &first = parts[0].facts.descriptor;
  if (parts.size() == 1 && parts[0].onDevice && shape.rows[0].count == first.n) {
    source.address = reinterpret_cast<CuDevicePtr>(parts[0].words);
    return source;
  }
  const int64_t wordRows = first.k * first.bits / 32, n = shape.facts.descriptor.n;
  GPTQC_ASSIGN(owned, DeviceBuffer::allocate(device, wordRows * n * 4));
  int64_t column = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    CuMemcpy2D copy;
    const int64_t pitch = parts[i].facts.descriptor.n * 4, start = shape.rows[i].first * 4;
    if (parts[i].onDevice) {
      copy.sourceDevice = reinterpret_cast<CuDevicePtr>(parts[i].words) + uint64_t(start);
    } else {
      copy.sourceType = CuMemcpy2D::kHost;
      copy.sourceHost = static_cast<const char *>(parts[i].words) + start;
    }
    copy.sourcePitch = size_t(pitch);
    copy.targetDevice = owned.address() + uint64_t(column * 4);
    copy.targetPitch = size_t(n * 4);
    copy.widthBytes = size_t(shape.rows[i].count * 4);
    copy.height = size_t(wordRows);
    GPTQC_TRY(copyRows(device, copy, stream));
    column += shape.rows[i].count;
  }
  source.address = owned.address();
  return source;
}

/// What each expert's parts become.
Result<std::vector<LayerShape>> shapesOf(std::span<const LinearPart> parts, const LayerPlan &plan,
                                         size_t experts) {
  if (experts == 0 || parts.empty() || parts.size() % experts != 0)
    return invalidArgument("{} parts for {} experts; there must be as many for each", parts.size(),
                           experts);
  const size_t each = parts.size() / experts;
  std::vector<LayerShape> shapes;
  for (size_t e = 0; e < experts; ++e) {
    std::vector<QuantizedMatrix> facts;
    for (const LinearPart &part : parts.subspan(e * each, each)) {
      GPTQC_TRY(checkPart(part));
      facts.push_back(part.facts);
    }
    Result<LayerShape> shape = joinParts(facts, plan);
    if (!shape.ok())
      return experts == 1 ? shape.status()
                          : shape.status().withContext(fmt::format("expert {}", e));
    if (e > 0 && shape->columns != shapes[0].columns)
      return invalidArgument("experts 0 and {} have column orders of their own, so X cannot come "
                             "in one; leave x_is_permuted off",
                             e);
    shapes.push_back(std::move(*shape));
  }
  return shapes;
}

Result<QuantizedMatrix> factsOf(const std::vector<LayerShape> &shapes) {
  if (shapes.size() == 1)
    return shapes[0].facts;
  std::vector<QuantizedMatrix> facts;
  for (const LayerShape &shape : shapes)
    facts.push_back(shape.facts);
  return stackExperts(facts);
}

} // namespace

size_t bucketIndex(int64_t m) {
  return m > 8192 ? kBucketCount - 1 : size_t(std::bit_width(uint64_t(m - 1)));
}

Linear::Linear(std::shared_ptr<Dispatcher> dispatcher, DeviceLayer layer,
               std::vector<int32_t> columns, bool batchInvariant)
    : dispatcher(std::move(dispatcher)), layer(std::move(layer)), columns(std::move(columns)),
      batchInvariant(batchInvariant) {}

Result<std::unique_ptr<Linear>> Linear::create(std::shared_ptr<Dispatcher> dispatcher,
                                               std::span<const LinearPart> parts,
                                               const LayerPlan &plan, bool batchInvariant,
                                               const Stream &stream, bool overlaps,
                                               size_t experts) {
  GPTQC_ASSIGN(std::vector<LayerShape> shapes, shapesOf(parts, plan, experts));
  GPTQC_ASSIGN(const QuantizedMatrix facts, factsOf(shapes));
  GPTQC_ASSIGN(const auto kernels, dispatcher->repack());
  const size_t each = parts.size() / experts;
  DeviceBuffer owned;
  const auto sourceOf = [&](int64_t expert) {
    return gatherWords(dispatcher->device(), parts.subspan(size_t(expert) * each, each),
                       shapes[size_t(expert)], stream, owned);
  };
  GPTQC_ASSIGN(DeviceLayer layer,
               DeviceLayer::fromDevice(dispatcher->device(), *kernels, facts, sourceOf, stream));
  std::unique_ptr<Linear> linear(new Linear(std::move(dispatcher), std::move(layer),
                                            std::move(shapes[0].columns), batchInvariant));
  linear->overlaps = overlaps;
  return linear;
}

Descriptor Linear::kernelDescriptor(size_t bucket) const {
  Descriptor kernel = layer.descriptor();
  kernel.m = bucketFor(int64_t(1) << bucket);
  kernel.batchInvariant = batchInvariant;
  return kernel;
}

std::vector<Descriptor> Linear::kernelsFor(int64_t lo, int64_t hi) const {
  std::vector<Descriptor> kernels;
  for (size_t bucket = bucketIndex(lo); bucket <= bucketIndex(hi); ++bucket)
    if (!slots[bucket].load(std::memory_order_acquire))
      kernels.push_back(kernelDescriptor(bucket));
  return kernels;
}

Status Linear::take(size_t bucket) {
  GPTQC_ASSIGN(auto kernel, dispatcher->kernel(kernelDescriptor(bucket)));
  const std::lock_guard lock(mutex);
  if (!owners[bucket]) {
    owners[bucket] = std::move(kernel);
    slots[bucket].store(owners[bucket].get(), std::memory_order_release);
  }
  return Status();
}

Status Linear::prepare(int64_t lo, int64_t hi) {
  if (lo < 1 || hi < lo)
    return invalidArgument("layer '{}': {}..{} is no range of tokens", descriptor().print(), lo,
                           hi);
  GPTQC_TRY(dispatcher->prepare(kernelsFor(lo, hi)));
  for (size_t bucket = bucketIndex(lo); bucket <= bucketIndex(hi); ++bucket)
    GPTQC_TRY(take(bucket));
  return Status();
}

Result<int64_t> Linear::workspaceBytes(int64_t maxM, bool alignedX) const {
  if (maxM < 0)
    return invalidArgument("layer '{}': {} tokens", descriptor().print(), maxM);
  int64_t bytes = 0;
  for (size_t bucket = 0; maxM > 0 && bucket <= bucketIndex(maxM); ++bucket) {
    const LinearKernel *kernel = slots[bucket].load(std::memory_order_acquire);
    if (!kernel && bucket == bucketIndex(maxM))
      return makeError(Code::NotFound, "layer '{}': the kernel for {} tokens was not prepared",
                       descriptor().print(), maxM);
    if (!kernel)
      continue;
    const int64_t m = std::min(maxM, bucket + 1 < kBucketCount ? int64_t(1) << bucket : maxM);
    bytes = std::max(bytes, kernel->workspaceBytes(m));
    if (!alignedX && kernel->launch().xVector > kElementBytes)
      bytes = std::max(bytes,
                       stagedOffset(*kernel, m) + m * stagedStride(descriptor().k) * kElementBytes);
  }
  return bytes;
}

Status Linear::stageX(const LinearKernel &kernel, CuDevicePtr &x, int64_t &ldx, int64_t m,
                      DeviceSpan workspace, const Stream &stream) const {
  const int64_t k = descriptor().k, offset = stagedOffset(kernel, m);
  const int64_t needed = offset + m * stagedStride(k) * kElementBytes;
  if (x == 0 || x % kElementBytes != 0 || (m > 1 && ldx < k))
    return Status(); // the kernel's own checks say what is wrong
  if (workspace.bytes() < needed)
    return invalidArgument(
        "layer '{}': X at {:#x} with rows of {} bytes is not aligned to {} bytes; "
        "align it, or give a workspace of {} bytes for a copy (this has {})",
        descriptor().print(), x, ldx * kElementBytes, kernel.launch().xVector, needed,
        workspace.bytes());
  CuMemcpy2D copy;
  copy.sourceDevice = x;
  copy.sourcePitch = size_t((m > 1 ? ldx : k) * kElementBytes);
  copy.targetDevice = workspace.address() + uint64_t(offset);
  copy.targetPitch = size_t(stagedStride(k) * kElementBytes);
  copy.widthBytes = size_t(k * kElementBytes);
  copy.height = size_t(m);
  GPTQC_TRY(copyRows(device(), copy, stream));
  x = copy.targetDevice;
  ldx = stagedStride(k);
  return Status();
}

Status Linear::run(CuDevicePtr x, int64_t ldx, int64_t m, CuDevicePtr y, int64_t ldy,
                   DeviceSpan workspace, const Stream &stream, CuDevicePtr expertOffsets) {
  if (m == 0)
    return Status();
  if (m < 0)
    return invalidArgument("layer '{}': {} tokens", descriptor().print(), m);
  const size_t bucket = bucketIndex(m);
  const LinearKernel *kernel = slots[bucket].load(std::memory_order_acquire);
  if (!kernel) {
    if (!dispatcher->compilesInRun())
      return makeError(
          Code::NotFound,
          "layer '{}': the kernel '{}' was not prepared, and nothing is compiled at run "
          "time; prepare it first",
          descriptor().print(), kernelDescriptor(bucket).print());
    GPTQC_TRY(take(bucket));
    kernel = slots[bucket].load(std::memory_order_acquire);
  }
  const bool aligned = isAligned(*kernel, x, ldx, m);
  if (!aligned)
    GPTQC_TRY(stageX(*kernel, x, ldx, m, workspace, stream));
  // Only kernels let others start early: behind a copy there is nothing to gain.
  return kernel->run(layer, x, ldx, m, y, ldy, workspace, stream, overlaps && aligned,
                     expertOffsets);
}

Status Linear::dequantize(CuDevicePtr dense, DType type, const Stream &stream) const {
  GPTQC_ASSIGN(const auto kernel, dispatcher->dequantizer());
  return kernel->run(layer, dense, type, stream);
}

Status initializeWorkspace(DeviceSpan workspace, const Stream &stream) {
  const int64_t bytes = std::min(workspace.bytes(), kCounterBytes);
  if (bytes < 0 || (bytes > 0 && workspace.address() == 0))
    return invalidArgument("a workspace of {} bytes at null", workspace.bytes());
  if (bytes == 0)
    return Status();
  const ContextScope scope(stream.device());
  return stream.device().check(
      stream.device().api().cuMemsetD8Async(workspace.address(), 0, size_t(bytes), stream.handle()),
      "cuMemsetD8Async");
}

} // namespace gptqc
