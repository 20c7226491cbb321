// The checks of a layer in the order in which they can be trusted: presence and types, shapes,
// g_idx, scales, zero points.
#include "runtime/checkpoint/LayerReader.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/checkpoint/ZeroPoints.h"
#include "runtime/core/Float16.h"
#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

constexpr const char *kFetch = "fetch the file again or quantize the model again";

template <typename T> T loadAt(std::span<const uint8_t> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

class Reader {
public:
  Reader(const HfFolder &folder, const std::string &name, const LayerContext &context,
         std::vector<Finding> &findings)
      : folder(folder), name(name), context(context), findings(findings) {}

  std::optional<RawLayer> run() {
    if (!findTensors() || !checkShapes() || !readGroupIndex() || !readScales() || !readBias())
      return std::nullopt;
    const ZeroPoints zeroPoints = readZeroPoints({name, context.config, context.writer, groups, n},
                                                 qzeros->bytes(), findings);
    LayerCodes codes;
    codes.bits = context.config.bits;
    codes.n = n;
    codes.k = k;
    codes.groupSize = context.config.groupSize;
    codes.act = codes.out = context.activation;
    codes.scaleType = scaleType;
    codes.zeros = zeroPoints.zeros;
    codes.scales = scaleBits;
    codes.groupIndex = groupIndex;
    codes.bias = biasBits;
    Result<QuantizedMatrix> facts = layerWithoutCodes(codes);
    if (!facts.ok()) {
      fatal("shape", facts.status().message(), kFetch);
      return std::nullopt;
    }
    RawLayer raw;
    raw.facts = std::move(*facts);
    raw.packing =
        context.config.format == FileFormat::GptqPlanar ? Packing::Planar : Packing::Continuous;
    raw.qweight = qweight->bytes();
    raw.zeroRule = zeroPoints.rule;
    raw.hasGroupIndex = gIdx != nullptr;
    raw.scaleType = scales->info->type;
    for (const TensorRef *tensor : {qweight, qzeros, scales, gIdx})
      raw.fileBytes += tensor ? int64_t(tensor->info->bytes) : 0;
    warnActOrder(raw.facts.descriptor);
    return raw;
  }

private:
  void add(Severity severity, std::string check, std::string problem, std::string repair) {
    findings.push_back(
        {severity, std::move(check), quoteName(name), std::move(problem), std::move(repair)});
  }
  bool fatal(std::string check, std::string problem, std::string repair) {
    add(Severity::Fatal, std::move(check), std::move(problem), std::move(repair));
    return false;
  }

  const TensorRef *find(std::string_view suffix) const {
    return folder.find(fmt::format("{}.{}", name, suffix));
  }

  bool expect(const TensorRef *tensor, std::string_view suffix, size_t rank,
              std::initializer_list<ElementType> types) {
    if (!tensor)
      return fatal("missing-tensor", fmt::format("{} is not in the file", suffix), kFetch);
    const TensorInfo &info = *tensor->info;
    if (std::find(types.begin(), types.end(), info.type) == types.end())
      return fatal(
          "dtype",
          fmt::format("{} is {}, not {}", suffix, info.print(), elementTypeName(*types.begin())),
          "save it again with that type");
    if (info.shape.size() != rank)
      return fatal("shape",
                   fmt::format("{} is {}, it needs {} dimension(s)", suffix, info.print(), rank),
                   kFetch);
    return true;
  }

  bool findTensors() {
    qweight = find("qweight");
    qzeros = find("qzeros");
    scales = find("scales");
    gIdx = find("g_idx");
    bias = find("bias");
    using enum ElementType;
    return expect(qweight, "qweight", 2, {I32, U32}) && expect(qzeros, "qzeros", 2, {I32, U32}) &&
           expect(scales, "scales", 2, {F16, BF16, F32}) &&
           (!gIdx || expect(gIdx, "g_idx", 1, {I32, I64})) &&
           (!bias || expect(bias, "bias", 1, {F16, BF16, F32}));
  }

  /// When the shapes fit another bit width, say so: the usual cause is a lost `dynamic` override.
  std::string otherBits() const {
    if (gIdx)
      for (int bits = 2; bits <= 8; ++bits)
        if (qweight->info->shape[0] * 32 == gIdx->info->shape[0] * bits &&
            bits != context.config.bits)
          return fmt::format("set bits to {} for this layer (its shapes say so)", bits);
    return "correct bits in the configuration";
  }

  bool checkShapes() {
    const int bits = context.config.bits;
    const std::vector<int64_t> &weightShape = qweight->info->shape;
    n = weightShape[1];
    if (n <= 0 || weightShape[0] <= 0) // before any product: an empty tensor may claim any length
      return fatal("shape", fmt::format("qweight is {}: it is empty", qweight->info->print()),
                   kFetch);
    k = weightShape[0] * 32 / bits;
    if (weightShape[0] * 32 % bits != 0 || !packsWhole(bits, k))
      return fatal(
          "shape",
          fmt::format("qweight is {}: {} words of a column hold no whole blocks of {}-bit codes",
                      qweight->info->print(), weightShape[0], bits),
          otherBits());
    if (gIdx && gIdx->info->shape[0] != k)
      return fatal("bits-mismatch",
                   fmt::format("g_idx has {} columns, but {} bits and qweight {} give K = {}",
                               gIdx->info->shape[0], bits, qweight->info->print(), k),
                   otherBits());
    if (!packsWhole(bits, n) || qzeros->info->shape[1] != packedWords(bits, n))
      return fatal("shape",
                   fmt::format("qzeros is {}, N = {} with {} bits needs [G,{}]",
                               qzeros->info->print(), n, bits, (n * bits + 31) / 32),
                   otherBits());
    groups = scales->info->shape[0];
    if (scales->info->shape[1] != n)
      return fatal("shape", fmt::format("scales is {}, N = {}", scales->info->print(), n), kFetch);
    if (qzeros->info->shape[0] != groups)
      return fatal(
          "shape",
          fmt::format("qzeros has {} groups, scales has {}", qzeros->info->shape[0], groups),
          kFetch);
    const int64_t size = context.config.groupSize;
    const int64_t expected = size < 0 || size >= k ? 1 : (k + size - 1) / size;
    if (groups != expected)
      return fatal("group-size",
                   fmt::format("scales has {} groups, K = {} with group_size {} needs {}", groups,
                               k, size, expected),
                   groups > 0 && k % groups == 0
                       ? fmt::format("set group_size to {}", groups == 1 ? -1 : k / groups)
                       : std::string("correct group_size in the configuration"));
    return true;
  }

  bool readGroupIndex() {
    if (!gIdx)
      return true;
    const std::span<const uint8_t> bytes = gIdx->bytes();
    const bool wide = gIdx->info->type == ElementType::I64;
    groupIndex.resize(size_t(k));
    bool allZero = true;
    for (size_t i = 0; i < size_t(k); ++i) {
      const int64_t group = wide ? loadAt<int64_t>(bytes, i) : loadAt<int32_t>(bytes, i);
      if (group < 0 || group >= groups)
        return fatal("g-idx-range",
                     fmt::format("g_idx[{}] = {} is outside 0..{}", i, group, groups - 1), kFetch);
      groupIndex[i] = int32_t(group);
      allZero = allZero && group == 0;
    }
    if (allZero) // how some writers say "no act-order"
      groupIndex.clear();
    return true;
  }

  bool readScales() {
    const std::span<const uint8_t> bytes = scales->bytes();
    const size_t count = size_t(groups * n);
    scaleBits.resize(count);
    const ElementType type = scales->info->type;
    scaleType = type == ElementType::BF16 ? DType::BF16 : DType::F16;
    if (type == ElementType::F32) {
      for (size_t i = 0; i < count; ++i)
        scaleBits[i] = floatToHalf(loadAt<float>(bytes, i));
      add(Severity::Warning, "scales-f32", "scales is F32; it is rounded to F16 when it is read",
          "save the scales as F16");
    } else {
      std::memcpy(scaleBits.data(), bytes.data(), count * 2);
    }
    const auto bad = std::find_if(scaleBits.begin(), scaleBits.end(), [&](uint16_t scale) {
      return !std::isfinite(toFloat(scale, scaleType));
    });
    if (bad != scaleBits.end()) {
      const int64_t at = bad - scaleBits.begin();
      add(Severity::Error, "scales-finite",
          fmt::format("scales[{},{}] is not finite in {}", at / n, at % n, dtypeName(scaleType)),
          "quantize the layer again");
    }
    return true;
  }

  bool readBias() {
    if (!bias)
      return true;
    if (bias->info->shape[0] != n)
      return fatal("shape", fmt::format("bias is {}, N = {}", bias->info->print(), n), kFetch);
    const std::span<const uint8_t> bytes = bias->bytes();
    biasBits.resize(size_t(n));
    for (size_t i = 0; i < size_t(n); ++i) {
      if (bias->info->type == ElementType::F32) {
        biasBits[i] = fromFloat(loadAt<float>(bytes, i), context.activation);
        continue;
      }
      const DType stored = bias->info->type == ElementType::BF16 ? DType::BF16 : DType::F16;
      const uint16_t bits = loadAt<uint16_t>(bytes, i);
      biasBits[i] = stored == context.activation
                        ? bits
                        : fromFloat(toFloat(bits, stored), context.activation);
    }
    return true;
  }

  void warnActOrder(const Descriptor &descriptor) {
    if (descriptor.actOrder && !context.config.descAct)
      add(Severity::Error, "desc-act",
          "g_idx is not sequential, but the configuration says desc_act false",
          "set desc_act to true; readers that trust the configuration compute with wrong groups");
    if (descriptor.ragged)
      add(Severity::Warning, "group-lengths",
          fmt::format("the groups of g_idx do not have {} columns each", context.config.groupSize),
          "readers that sort by g_idx and assume equal groups refuse it; quantize again for them");
  }

  const HfFolder &folder;
  const std::string &name;
  const LayerContext &context;
  std::vector<Finding> &findings;
  const TensorRef *qweight = nullptr, *qzeros = nullptr, *scales = nullptr, *gIdx = nullptr,
                  *bias = nullptr;
  int64_t n = 0, k = 0, groups = 0;
  DType scaleType = DType::F16;
  std::vector<int32_t> groupIndex;
  std::vector<uint16_t> scaleBits, biasBits;
};

} // namespace

std::optional<RawLayer> readLayer(const HfFolder &folder, const std::string &name,
                                  const LayerContext &context, std::vector<Finding> &findings) {
  return Reader(folder, name, context, findings).run();
}

} // namespace gptqc
