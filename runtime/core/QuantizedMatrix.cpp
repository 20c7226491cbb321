// layerFromCodes: checks and canonicalizes a layer given as plain codes.
#include "runtime/core/QuantizedMatrix.h"

#include <algorithm>

namespace gptqc {

namespace {

Status checkSize(std::string_view name, size_t have, int64_t want, std::string_view shape) {
  if (int64_t(have) == want)
    return Status();
  return invalidArgument("layer codes: {} holds {} values, {} needs {}", name, have, shape, want);
}

/// Group lengths must be those of groupSize for the table-free kernels; says whether they differ.
bool lengthsDiffer(std::span<const int32_t> groupIndex, int64_t groups, int64_t groupSize,
                   int64_t k) {
  std::vector<int64_t> lengths(static_cast<size_t>(groups));
  for (int32_t group : groupIndex)
    ++lengths[size_t(group)];
  for (int64_t g = 0; g < groups; ++g)
    if (lengths[size_t(g)] != std::min(groupSize, k - g * groupSize))
      return true;
  return false;
}

bool isSequential(std::span<const int32_t> groupIndex, int64_t groupSize) {
  for (size_t k = 0; k < groupIndex.size(); ++k)
    if (groupIndex[k] != int64_t(k) / groupSize)
      return false;
  return true;
}

} // namespace

Result<QuantizedMatrix> layerFromCodes(const LayerCodes &layer) {
  GPTQC_ASSIGN(QuantizedMatrix matrix, layerWithoutCodes(layer));
  GPTQC_TRY(checkSize("codes", layer.codes.size(), layer.k * layer.n, "[K,N]"));
  const int maxCode = matrix.descriptor.maxCode();
  if (std::any_of(layer.codes.begin(), layer.codes.end(),
                  [&](uint8_t code) { return code > maxCode; }))
    return invalidArgument("layer codes: a code is above {}, the largest of {} bits", maxCode,
                           layer.bits);
  matrix.codes.assign(layer.codes.begin(), layer.codes.end());
  return matrix;
}

Result<QuantizedMatrix> layerWithoutCodes(const LayerCodes &layer) {
  QuantizedMatrix matrix;
  Descriptor &descriptor = matrix.descriptor;
  descriptor.bits = layer.bits;
  descriptor.groupSize = layer.groupSize;
  descriptor.act = layer.act;
  descriptor.out = layer.out;
  descriptor.scales = layer.scaleType;
  descriptor.n = layer.n;
  descriptor.k = layer.k;
  descriptor.m = {1, kUnboundedM};
  descriptor.siluMul = layer.siluMul;
  descriptor.bias = !layer.bias.empty();
  GPTQC_TRY(descriptor.validate());
  descriptor = descriptor.canonical();

  const int64_t n = layer.n, k = layer.k;
  if (layer.scales.empty() || int64_t(layer.scales.size()) % n != 0)
    return invalidArgument("layer codes: scales holds {} values, which is no multiple of N = {}",
                           layer.scales.size(), n);
  matrix.groups = int64_t(layer.scales.size()) / n;
  if (layer.groupIndex.empty() && matrix.groups != descriptor.groupCount())
    return invalidArgument("layer codes: {} groups of scales, K = {} with group size {} needs {}",
                           matrix.groups, k, layer.groupSize, descriptor.groupCount());
  if (!layer.zeros.empty())
    GPTQC_TRY(checkSize("zeros", layer.zeros.size(), matrix.groups * n, "[G,N]"));
  if (!layer.groupIndex.empty())
    GPTQC_TRY(checkSize("groupIndex", layer.groupIndex.size(), k, "[K]"));
  if (!layer.bias.empty())
    GPTQC_TRY(checkSize("bias", layer.bias.size(), n, "[N]"));

  const int maxCode = descriptor.maxCode();
  const auto tooLarge = [&](uint8_t code) { return code > maxCode; };
  if (std::any_of(layer.zeros.begin(), layer.zeros.end(), tooLarge))
    return invalidArgument("layer codes: a zero point is above {}, the largest of {} bits", maxCode,
                           layer.bits);
  for (size_t i = 0; i < layer.groupIndex.size(); ++i)
    if (layer.groupIndex[i] < 0 || layer.groupIndex[i] >= matrix.groups)
      return invalidArgument("layer codes: groupIndex[{}] = {} is outside 0..{}", i,
                             layer.groupIndex[i], matrix.groups - 1);

  const int symZero = descriptor.symZero();
  descriptor.sym = std::all_of(layer.zeros.begin(), layer.zeros.end(),
                               [&](uint8_t zero) { return zero == symZero; });
  const int64_t groupSize = descriptor.effectiveGroupSize();
  if (!layer.groupIndex.empty() && !isSequential(layer.groupIndex, groupSize)) {
    descriptor.actOrder = true;
    descriptor.ragged = matrix.groups != descriptor.groupCount() ||
                        lengthsDiffer(layer.groupIndex, matrix.groups, groupSize, k);
    if (matrix.groups > k)
      return invalidArgument("layer codes: {} groups for {} columns; drop the empty groups",
                             matrix.groups, k);
    // The packed sizes follow from the nominal size: it must give at least as many groups.
    if (descriptor.ragged && matrix.groups > descriptor.groupCount())
      descriptor.groupSize = k / matrix.groups;
    matrix.groupIndex.assign(layer.groupIndex.begin(), layer.groupIndex.end());
  } else if (matrix.groups != descriptor.groupCount()) {
    return invalidArgument("layer codes: {} groups of scales, but groupIndex uses {}",
                           matrix.groups, descriptor.groupCount());
  }
  if (!descriptor.sym)
    matrix.zeros.assign(layer.zeros.begin(), layer.zeros.end());
  matrix.scales.assign(layer.scales.begin(), layer.scales.end());
  matrix.bias.assign(layer.bias.begin(), layer.bias.end());
  return matrix;
}

} // namespace gptqc
