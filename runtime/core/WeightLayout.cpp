// Sizes, column order, bit order and the host packer of the packed layout.
#include "runtime/core/WeightLayout.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <numeric>

#include "runtime/core/Experts.h"
#include "runtime/core/Parallel.h"

namespace gptqc {

namespace {

int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Fills everything but the group structure; `packedColumns` is the sum of the padded group
/// lengths.
WeightLayout sizes(const Descriptor &descriptor, int64_t packedColumns) {
  WeightLayout layout;
  layout.bits = descriptor.bits;
  layout.n = descriptor.n;
  layout.k = descriptor.k;
  layout.parts = descriptor.siluMul ? 2 : 1;
  layout.paddedN = layout.parts * roundUp(layout.rowsPerPart(), 64);
  layout.planes = planesOf(descriptor.bits);
  layout.paddedK = roundUp(packedColumns, 256 / layout.planes.back().width);
  for (Plane &plane : layout.planes) {
    plane.offset = layout.weightBytes;
    plane.bytes = layout.paddedN * layout.paddedK * plane.width / 8;
    layout.weightBytes += plane.bytes;
  }
  return layout;
}

void finish(WeightLayout &layout, const Descriptor &descriptor) {
  layout.scaleBytes = layout.paddedN * layout.paddedGroups * 2;
  layout.zeroBytes = descriptor.sym ? 0 : layout.paddedN * layout.paddedGroups;
}

/// Lengths of the groups of a matrix, in group order.
std::vector<int64_t> groupLengths(const QuantizedMatrix &matrix) {
  std::vector<int64_t> lengths(static_cast<size_t>(matrix.groups));
  for (int64_t k = 0; k < matrix.descriptor.k; ++k)
    ++lengths[size_t(matrix.groupOf(k))];
  return lengths;
}

} // namespace

std::vector<Plane> planesOf(int bits) {
  std::vector<Plane> planes;
  int shift = 0;
  for (int width : {8, 4, 2, 1}) {
    if (!(bits & width))
      continue;
    planes.push_back({width, shift, 0, 0});
    shift += width;
  }
  return planes;
}

WeightLayout WeightLayout::uniform(const Descriptor &descriptor) {
  const int64_t groupSize = descriptor.effectiveGroupSize();
  const int64_t groups = descriptor.groupCount();
  const int64_t paddedGroupSize = roundUp(groupSize, 16);
  const int64_t lastLength = descriptor.k - (groups - 1) * groupSize;
  WeightLayout layout = sizes(descriptor, (groups - 1) * paddedGroupSize + roundUp(lastLength, 16));
  layout.groups = groups;
  layout.paddedGroupSize = paddedGroupSize;
  layout.paddedGroups = (layout.paddedK + paddedGroupSize - 1) / paddedGroupSize;
  layout.permuted = descriptor.actOrder || (groups > 1 && paddedGroupSize != groupSize);
  finish(layout, descriptor);
  return layout;
}

WeightLayout WeightLayout::ragged(const Descriptor &descriptor,
                                  const std::vector<int64_t> &lengths) {
  const int64_t groups = descriptor.groupCount();
  assert(int64_t(lengths.size()) <= groups && "layerFromCodes makes the nominal size small enough");
  WeightLayout layout = sizes(descriptor, descriptor.k + 15 * groups);
  layout.groups = int64_t(lengths.size());
  layout.paddedGroups = groups;
  layout.paddedGroupSize = 0;
  layout.permuted = true;
  finish(layout, descriptor);
  return layout;
}

namespace {

PackedOrder packedOrderOfExperts(const QuantizedMatrix &matrix) {
  const int64_t experts = matrix.descriptor.experts;
  QuantizedMatrix facts; // what the order depends on
  facts.descriptor = matrix.descriptor;
  facts.descriptor.experts = 1;
  facts.groups = matrix.groups;
  PackedOrder all;
  all.identity = true;
  for (int64_t e = 0; e < experts; ++e) {
    const auto from = matrix.groupIndex.begin();
    const auto count = int64_t(matrix.groupIndex.size()) / experts;
    facts.groupIndex.assign(from + e * count, from + (e + 1) * count);
    const PackedOrder one = packedOrder(facts);
    all.layout = one.layout;
    all.perm.insert(all.perm.end(), one.perm.begin(), one.perm.end());
    all.groupOf.insert(all.groupOf.end(), one.groupOf.begin(), one.groupOf.end());
    all.identity = all.identity && one.identity;
  }
  return all;
}

} // namespace

PackedOrder packedOrder(const QuantizedMatrix &matrix) {
  const Descriptor &descriptor = matrix.descriptor;
  if (descriptor.grouped())
    return packedOrderOfExperts(matrix);
  const std::vector<int64_t> lengths = groupLengths(matrix);
  PackedOrder order;
  order.layout = descriptor.ragged ? WeightLayout::ragged(descriptor, lengths)
                                   : WeightLayout::uniform(descriptor);
  const WeightLayout &layout = order.layout;
  order.perm.assign(size_t(layout.paddedK), -1);
  order.groupOf.assign(size_t(layout.paddedK / 16), int32_t(layout.groups - 1));

  std::vector<int64_t> next(lengths.size()); // where the next column of a group goes
  int64_t start = 0;
  for (size_t g = 0; g < lengths.size(); ++g) {
    next[g] = start;
    const int64_t end = start + roundUp(lengths[g], 16);
    std::fill(order.groupOf.begin() + start / 16, order.groupOf.begin() + end / 16, int32_t(g));
    start = end;
  }
  if (!descriptor.ragged)
    for (int64_t step = 0; step < layout.paddedK / 16; ++step)
      order.groupOf[size_t(step)] = int32_t(step * 16 / layout.paddedGroupSize);
  for (int64_t k = 0; k < descriptor.k; ++k)
    order.perm[size_t(next[size_t(matrix.groupOf(k))]++)] = int32_t(k);

  order.identity = true;
  for (int64_t kp = 0; kp < layout.paddedK; ++kp)
    order.identity &= order.perm[size_t(kp)] == (kp < descriptor.k ? kp : -1);
  return order;
}

BitAddress bitAddress(const WeightLayout &layout, const Plane &plane, int64_t row, int64_t kp) {
  const int64_t stepsPerChunk = plane.stepsPerChunk();
  const int64_t chunks = layout.paddedK / (16 * stepsPerChunk);
  const int64_t step = kp / 16;
  const int slot = int(step % stepsPerChunk); // the k16 step inside the lane's 16 bytes

  // Lane and register of an mma.m16n8k16 A fragment (PTX ISA, "Matrix Fragments for mma.m16n8k16").
  const int r = int(row % 16), c = int(kp % 16);
  const int lane = r % 8 * 4 + c % 8 / 2;
  const int reg = (r >= 8 ? 1 : 0) + (c >= 8 ? 2 : 0);
  const int half = c & 1;

  const int pairPosition = 2 * ((reg >> 1) + 2 * (reg & 1)); // registers in the order 0, 2, 1, 3
  int word = 0, bit = 0;
  switch (plane.width) {
  case 8:
    word = 2 * slot + (reg >> 1);
    bit = 8 * (reg & 1);
    break;
  case 4:
    word = slot;
    bit = 4 * reg;
    break;
  case 2:
    word = slot / 2;
    bit = 8 * (slot & 1) + pairPosition;
    break;
  default:
    word = slot / 4;
    bit = 8 * (slot / 2 & 1) + (slot & 1) + pairPosition;
    break;
  }
  const int64_t chunk = row / 16 * chunks + step / stepsPerChunk;
  return {(chunk * 32 + lane) * 16 + word * 4, bit + 16 * half};
}

namespace {

/// Appends the weights, scales and zeros of a plain layer; perm: [Kp] and groupOf: [Kp / 16] are
/// its own.
void appendPacked(const QuantizedMatrix &matrix, const int32_t *perm, const int32_t *groupOf,
                  PackedWeights &packed) {
  const WeightLayout &layout = packed.layout;
  const int64_t n = layout.n;
  const int padding = matrix.descriptor.symZero();
  const size_t firstByte = packed.weights.size(), firstScale = packed.scales.size();
  packed.weights.resize(firstByte + size_t(layout.weightBytes), 0);
  packed.scales.resize(firstScale + size_t(layout.scaleBytes / 2), 0);
  packed.zeros.resize(packed.zeros.size() + size_t(layout.zeroBytes), uint8_t(padding));

  std::vector<int64_t> rowOf(size_t(layout.paddedN), -1); // packed row -> row, -1 pads
  for (int64_t row = 0; row < n; ++row)
    rowOf[size_t(layout.packedRow(row))] = row;

  const auto packTile = [&](int64_t tile, int) {
    for (int64_t packedRow = tile * 16; packedRow < tile * 16 + 16; ++packedRow) {
      const int64_t row = rowOf[size_t(packedRow)];
      for (int64_t g = 0; row >= 0 && g < layout.groups; ++g) {
        const size_t at =
            firstScale + size_t((packedRow / 16 * layout.paddedGroups + g) * 16 + packedRow % 16);
        packed.scales[at] = matrix.scales[size_t(g * n + row)];
        if (!packed.zeros.empty())
          packed.zeros[at] = uint8_t(matrix.zeroAt(g, row));
      }
      for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
        const int64_t group = groupOf[kp / 16];
        int code = padding;
        if (row >= 0 && perm[kp] >= 0)
          code = matrix.codes[size_t(perm[kp] * n + row)];
        else if (row >= 0 && group < layout.groups)
          code = matrix.zeroAt(group, row);
        for (const Plane &plane : layout.planes) {
          const BitAddress at = bitAddress(layout, plane, packedRow, kp);
          const int field = code >> plane.shift & ((1 << plane.width) - 1);
          packed.weights[firstByte + size_t(plane.offset + at.byte + at.bit / 8)] |=
              uint8_t(field << (at.bit % 8));
        }
      }
    }
  };
  parallelFor(layout.paddedN / 16, resolveThreads(0), packTile);
}

} // namespace

PackedWeights packWeights(const QuantizedMatrix &matrix) {
  const Descriptor &d = matrix.descriptor;
  PackedOrder order = packedOrder(matrix);
  PackedWeights packed;
  packed.descriptor = d;
  packed.layout = order.layout;
  for (int64_t expert = 0; expert < d.experts; ++expert) {
    const int32_t *perm = order.perm.data() + expert * order.layout.paddedK;
    const int32_t *groupOf = order.groupOf.data() + expert * (order.layout.paddedK / 16);
    if (d.grouped())
      appendPacked(expertOf(matrix, expert), perm, groupOf, packed);
    else
      appendPacked(matrix, perm, groupOf, packed);
  }
  if (d.ragged)
    packed.groupOf = std::move(order.groupOf);
  if (!order.identity)
    packed.perm = std::move(order.perm);
  packed.bias = matrix.bias;
  return packed;
}

int unpackCode(const PackedWeights &packed, int64_t row, int64_t kp) {
  int code = 0;
  for (const Plane &plane : packed.layout.planes) {
    const BitAddress at = bitAddress(packed.layout, plane, row, kp);
    const uint8_t byte = packed.weights[size_t(plane.offset + at.byte + at.bit / 8)];
    code |= (byte >> (at.bit % 8) & ((1 << plane.width) - 1)) << plane.shift;
  }
  return code;
}

} // namespace gptqc
