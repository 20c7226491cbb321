// QuantizedMatrix: one layer's weights in the plain form that all readers produce and all packers
// take. Zero points are already normalized (0..2^bits-1, no v1 offset); scales keep the bits of the
// file.
#ifndef GPTQC_RUNTIME_CORE_QUANTIZEDMATRIX_H
#define GPTQC_RUNTIME_CORE_QUANTIZEDMATRIX_H

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Status.h"

namespace gptqc {

/// Of a grouped layer (Experts.h), every array holds all experts one behind the other; groupOf and
/// zeroAt are of plain layers.
struct QuantizedMatrix {
  Descriptor descriptor;           ///< with m1.. : the weights do not depend on M
  int64_t groups = 0;              ///< G: rows of scales and zeros
  std::vector<uint8_t> codes;      ///< [K,N]
  std::vector<uint8_t> zeros;      ///< [G,N]; empty when symmetric
  std::vector<uint16_t> scales;    ///< [G,N], bits of descriptor.scales
  std::vector<int32_t> groupIndex; ///< [K], 0..G-1; empty: k / groupSize
  std::vector<uint16_t> bias;      ///< [N], bits of descriptor.act; empty: none

  int groupOf(int64_t k) const {
    return groupIndex.empty() ? int(k / descriptor.effectiveGroupSize()) : groupIndex[size_t(k)];
  }
  int zeroAt(int64_t group, int64_t n) const {
    return zeros.empty() ? descriptor.symZero() : zeros[size_t(group * descriptor.n + n)];
  }
};

/// What layerFromCodes takes; all spans are borrowed for the call only.
struct LayerCodes {
  int bits = 4;
  int64_t n = 0, k = 0;
  int64_t groupSize = 128; ///< -1: one group
  DType act = DType::F16, out = DType::F16, scaleType = DType::F16;
  std::span<const uint8_t> codes;      ///< [K,N], each 0..2^bits-1
  std::span<const uint8_t> zeros;      ///< [G,N]; empty: symmetric, 2^(bits-1)
  std::span<const uint16_t> scales;    ///< [G,N]
  std::span<const int32_t> groupIndex; ///< [K]; empty: k / groupSize
  std::span<const uint16_t> bias;      ///< [N]; empty: none
  bool siluMul = false;                ///< rows are gate then up
};

/// Checks shapes and ranges and copies them into a canonical layer: a sequential g_idx is dropped,
/// an irregular one sets act-order, and `ragged` when group lengths differ from groupSize; zeros
/// that are all 2^(bits-1) become sym. This is how sizes enter that the file format cannot hold
/// (its words pack whole groups of codes).
Result<QuantizedMatrix> layerFromCodes(const LayerCodes &layer);

/// The same without the codes (layer.codes is not read, the result has none): what a reader knows
/// of a layer before it unpacks its weights.
Result<QuantizedMatrix> layerWithoutCodes(const LayerCodes &layer);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_QUANTIZEDMATRIX_H
