// Upload and repack.
#include "runtime/device/DeviceLayer.h"

#include "runtime/device/SupportArgs.h"

namespace gptqc {
namespace {

constexpr int kThreads = 256;

int64_t blocksFor(int64_t threads) { return (threads + kThreads - 1) / kThreads; }

Status checkMatrix(const QuantizedMatrix &matrix) {
  const Descriptor &d = matrix.descriptor;
  const auto wrong = [&](std::string_view tensor, size_t have, int64_t want) {
    return invalidArgument("layer '{}': {} has {} elements, {} needed", d.print(), tensor, have,
                           want);
  };
  GPTQC_TRY(d.validate());
  const int64_t perGroup = matrix.groups * d.n * d.experts;
  if (int64_t(matrix.scales.size()) != perGroup)
    return wrong("scales", matrix.scales.size(), perGroup);
  if (!matrix.zeros.empty() && int64_t(matrix.zeros.size()) != perGroup)
    return wrong("zeros", matrix.zeros.size(), perGroup);
  if (!matrix.groupIndex.empty() && int64_t(matrix.groupIndex.size()) != d.k * d.experts)
    return wrong("g_idx", matrix.groupIndex.size(), d.k * d.experts);
  if (!matrix.bias.empty() && int64_t(matrix.bias.size()) != d.n * d.experts)
    return wrong("bias", matrix.bias.size(), d.n * d.experts);
  return Status();
}

} // namespace

Result<RepackKernels> RepackKernels::load(const Device &device, const KernelImage &image) {
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  RepackKernels kernels;
  GPTQC_ASSIGN(kernels.weights, module.function("repack_weights"));
  GPTQC_ASSIGN(kernels.scales, module.function("repack_scales"));
  return kernels;
}

Result<DeviceLayer> DeviceLayer::upload(const Device &device, const PackedWeights &packed) {
  DeviceLayer layer;
  layer.layerDescriptor = packed.descriptor;
  layer.layerLayout = packed.layout;
  GPTQC_ASSIGN(layer.weights, DeviceBuffer::upload(device, packed.weights));
  GPTQC_ASSIGN(layer.scales, DeviceBuffer::upload(device, packed.scales));
  GPTQC_ASSIGN(layer.zeros, DeviceBuffer::upload(device, packed.zeros));
  GPTQC_ASSIGN(layer.groupOf, DeviceBuffer::upload(device, packed.groupOf));
  GPTQC_ASSIGN(layer.perm, DeviceBuffer::upload(device, packed.perm));
  GPTQC_ASSIGN(layer.bias, DeviceBuffer::upload(device, packed.bias));
  return layer;
}

Result<DeviceLayer> DeviceLayer::fromCodes(const Device &device, const RepackKernels &kernels,
                                           const QuantizedMatrix &matrix) {
  const Descriptor &d = matrix.descriptor;
  if (int64_t(matrix.codes.size()) != d.k * d.n * d.experts)
    return invalidArgument("layer '{}': codes has {} elements, {} needed", d.print(),
                           matrix.codes.size(), d.k * d.n * d.experts);
  return repack(device, kernels, matrix, matrix.codes.data(), int64_t(matrix.codes.size()),
                RepackSource::Codes);
}

Result<DeviceLayer> DeviceLayer::fromWords(const Device &device, const RepackKernels &kernels,
                                           const QuantizedMatrix &matrix,
                                           std::span<const uint32_t> words, WordPacking packing) {
  const Descriptor &d = matrix.descriptor;
  const int64_t needed = d.k * d.bits / 32 * d.n * d.experts;
  if (d.k * d.bits % 32 != 0 || int64_t(words.size()) != needed)
    return invalidArgument("layer '{}': qweight has {} words, {} needed", d.print(), words.size(),
                           needed);
  // The kernel reads whole blocks of 32 codes, except for widths whose words stand alone.
  const bool wordsStandAlone = d.bits == 2 || d.bits == 4 || d.bits == 8;
  if (!wordsStandAlone && d.k % 32 != 0)
    return invalidArgument(
        "layer '{}': {}-bit words hold blocks of 32 codes; K = {} is no multiple", d.print(),
        d.bits, d.k);
  return repack(device, kernels, matrix, words.data(), int64_t(words.size_bytes()),
                packing == WordPacking::Planar ? RepackSource::Planar : RepackSource::Continuous);
}

Result<DeviceLayer> DeviceLayer::repack(const Device &device, const RepackKernels &kernels,
                                        const QuantizedMatrix &matrix, const void *source,
                                        int64_t sourceBytes, RepackSource::Kind kind) {
  GPTQC_ASSIGN(const DeviceBuffer codes, DeviceBuffer::upload(device, source, sourceBytes));
  GPTQC_ASSIGN(const Stream stream, Stream::create(device));
  const int64_t expertBytes = sourceBytes / matrix.descriptor.experts;
  const auto sourceOf = [&](int64_t expert) -> Result<RepackSource> {
    return RepackSource{codes.address() + uint64_t(expert * expertBytes), kind, {}};
  };
  return fromDevice(device, kernels, matrix, sourceOf, stream);
}

namespace {

/// perm[kp] as a row of the source.
std::vector<int32_t> sourceRows(std::span<const int32_t> perm, std::span<const int32_t> columns) {
  std::vector<int32_t> rows(perm.begin(), perm.end());
  for (int32_t &row : rows)
    if (row >= 0)
      row = columns[size_t(row)];
  return rows;
}

/// The arguments without addresses.
RepackArgs weightsArgs(const QuantizedMatrix &matrix, const WeightLayout &layout) {
  RepackArgs args;
  args.n = matrix.descriptor.n;
  args.k = matrix.descriptor.k;
  args.paddedN = layout.paddedN;
  args.paddedK = layout.paddedK;
  args.groups = int32_t(layout.groups);
  args.bits = matrix.descriptor.bits;
  args.parts = int32_t(layout.parts);
  return args;
}

RepackScalesArgs scalesArgs(const QuantizedMatrix &matrix, const WeightLayout &layout) {
  RepackScalesArgs args;
  args.n = matrix.descriptor.n;
  args.paddedN = layout.paddedN;
  args.groups = int32_t(layout.groups);
  args.paddedGroups = int32_t(layout.paddedGroups);
  args.parts = int32_t(layout.parts);
  args.padding = matrix.descriptor.symZero();
  return args;
}

/// Zero points as the kernels read them: none for a symmetric layer.
std::vector<uint8_t> zerosOf(const QuantizedMatrix &matrix) {
  const Descriptor &d = matrix.descriptor;
  if (d.sym)
    return {};
  if (!matrix.zeros.empty())
    return matrix.zeros;
  return std::vector<uint8_t>(size_t(matrix.groups * d.n * d.experts), uint8_t(d.symZero()));
}

} // namespace

/// What repacking reads besides the codes.
struct DeviceLayer::Plain {
  DeviceBuffer scales, zeros;
  PackedOrder order;
};

Status DeviceLayer::repackExpert(const RepackKernels &kernels, const QuantizedMatrix &matrix,
                                 const Plain &plain, int64_t expert, const RepackSource &source,
                                 const Stream &stream) {
  const Descriptor &d = layerDescriptor;
  const WeightLayout &layout = layerLayout;
  if (!source.columns.empty() && int64_t(source.columns.size()) != d.k)
    return invalidArgument("layer '{}': {} source columns, {} needed", d.print(),
                           source.columns.size(), d.k);
  // Address of the expert's part; 0 for what the layer has not.
  const auto part = [&](const DeviceBuffer &buffer) {
    return buffer.address() + uint64_t(buffer.bytes() / d.experts * expert);
  };
  DeviceBuffer rows;
  if (!source.columns.empty()) {
    const std::span<const int32_t> own(plain.order.perm.data() + expert * layout.paddedK,
                                       size_t(layout.paddedK));
    GPTQC_ASSIGN(rows, DeviceBuffer::upload(stream.device(), sourceRows(own, source.columns)));
  }

  RepackArgs args = weightsArgs(matrix, layout);
  args.source = source.address;
  args.perm = rows.bytes() > 0 ? rows.address() : part(perm);
  args.groupOf = part(groupOf);
  args.zeros = part(plain.zeros);
  args.weights = part(weights);
  args.kind = source.kind;
  GPTQC_TRY(kernels.weights.launch({blocksFor(layout.weightBytes / 16)}, kThreads, &args, stream));

  RepackScalesArgs scaleArgs = scalesArgs(matrix, layout);
  scaleArgs.scales = part(plain.scales);
  scaleArgs.zeros = part(plain.zeros);
  scaleArgs.packedScales = part(scales);
  scaleArgs.packedZeros = part(zeros);
  GPTQC_TRY(
      kernels.scales.launch({blocksFor(layout.scaleBytes / 2)}, kThreads, &scaleArgs, stream));
  return stream.synchronize().withContext(fmt::format("repacking layer '{}'", d.print()));
}

Result<DeviceLayer> DeviceLayer::fromDevice(const Device &device, const RepackKernels &kernels,
                                            const QuantizedMatrix &matrix,
                                            const RepackSourceOf &sourceOf, const Stream &stream) {
  GPTQC_TRY(checkMatrix(matrix));
  const Descriptor &d = matrix.descriptor;
  Plain plain;
  plain.order = packedOrder(matrix);
  const WeightLayout &layout = plain.order.layout;
  DeviceLayer layer;
  layer.layerDescriptor = d;
  layer.layerLayout = layout;

  GPTQC_ASSIGN(plain.scales, DeviceBuffer::upload(device, matrix.scales));
  GPTQC_ASSIGN(plain.zeros, DeviceBuffer::upload(device, zerosOf(matrix)));
  GPTQC_ASSIGN(layer.perm, DeviceBuffer::upload(device, plain.order.perm));
  GPTQC_ASSIGN(layer.groupOf, DeviceBuffer::upload(device, plain.order.groupOf));
  GPTQC_ASSIGN(layer.bias, DeviceBuffer::upload(device, matrix.bias));
  GPTQC_ASSIGN(layer.weights, DeviceBuffer::allocate(device, layout.weightBytes * d.experts));
  GPTQC_ASSIGN(layer.scales, DeviceBuffer::allocate(device, layout.scaleBytes * d.experts));
  GPTQC_ASSIGN(layer.zeros, DeviceBuffer::allocate(device, layout.zeroBytes * d.experts));
  for (int64_t expert = 0; expert < d.experts; ++expert) {
    GPTQC_ASSIGN(const RepackSource source, sourceOf(expert));
    GPTQC_TRY(layer.repackExpert(kernels, matrix, plain, expert, source, stream));
  }
  if (!d.ragged)
    layer.groupOf = DeviceBuffer();
  if (plain.order.identity)
    layer.perm = DeviceBuffer();
  return layer;
}

int64_t DeviceLayer::bytes() const {
  int64_t sum = 0;
  for (const DeviceBuffer *buffer : {&weights, &scales, &zeros, &groupOf, &perm, &bias})
    sum += buffer->bytes();
  return sum;
}

void DeviceLayer::fill(LinearArgs &args) const {
  args.weights = weights.address();
  args.scales = scales.address();
  args.zeros = zeros.address();
  args.groupOf = groupOf.address();
  args.perm = perm.address();
  args.bias = bias.address();
}

Result<PackedWeights> DeviceLayer::download() const {
  PackedWeights packed;
  packed.descriptor = layerDescriptor;
  packed.layout = layerLayout;
  GPTQC_ASSIGN(packed.weights, weights.download<uint8_t>());
  GPTQC_ASSIGN(packed.scales, scales.download<uint16_t>());
  GPTQC_ASSIGN(packed.zeros, zeros.download<uint8_t>());
  GPTQC_ASSIGN(packed.groupOf, groupOf.download<int32_t>());
  GPTQC_ASSIGN(packed.perm, perm.download<int32_t>());
  GPTQC_ASSIGN(packed.bias, bias.download<uint16_t>());
  return packed;
}

} // namespace gptqc
