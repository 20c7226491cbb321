// CPU executor: 16 weight rows at a time; a step of codes is unpacked and dequantized once and used
// for all rows of X in the block.
#include "runtime/cpu/Executor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/core/Experts.h"
#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"
#include "runtime/cpu/Accumulate.h"

namespace gptqc {
namespace {

constexpr int64_t kChunkBytes = 512;   // 32 lanes x 16 bytes
constexpr int64_t kMaxStepK = 256;     // a width-1 chunk
constexpr int64_t kRowsPerBlock = 256; // rows of X in flight: bounds memory, amortizes unpacking

Status checkSize(const Descriptor &descriptor, const char *what, int64_t have, int64_t want) {
  if (have == want)
    return {};
  return invalidArgument(
      "packed layer `{}`: {} holds {} elements, its layout needs {}; pack it again",
      descriptor.print(), what, have, want);
}

Status checkPacked(const PackedWeights &packed) {
  const Descriptor &d = packed.descriptor;
  const WeightLayout &layout = packed.layout;
  const auto check = [&](const char *what, size_t have, int64_t ofExpert) {
    return checkSize(d, what, int64_t(have), ofExpert * d.experts);
  };
  GPTQC_TRY(check("weights", packed.weights.size(), layout.weightBytes));
  GPTQC_TRY(check("scales", packed.scales.size() * 2, layout.scaleBytes));
  GPTQC_TRY(check("zeros", packed.zeros.size(), layout.zeroBytes));
  GPTQC_TRY(check("groupOf", packed.groupOf.size(),
                  layout.paddedGroupSize == 0 ? layout.paddedK / 16 : 0));
  GPTQC_TRY(check("bias", packed.bias.size(), d.bias ? layout.n : 0));
  if (!packed.perm.empty())
    GPTQC_TRY(check("perm", packed.perm.size(), layout.paddedK));
  for (int32_t column : packed.perm)
    if (column < -1 || column >= layout.k)
      return invalidArgument("packed layer `{}`: perm names column {}; K is {}", d.print(), column,
                             layout.k);
  for (int32_t group : packed.groupOf)
    if (group < 0 || group >= layout.paddedGroups)
      return invalidArgument("packed layer `{}`: groupOf names group {} of {}", d.print(), group,
                             layout.paddedGroups);
  return {};
}

float silu(float value) { return value / (1.0f + std::exp(-value)); }

} // namespace

/// Per thread.
struct Executor::Scratch {
  std::vector<uint8_t> codes = std::vector<uint8_t>(size_t(kMaxStepK * kTileRows));
  std::vector<float> weights = std::vector<float>(size_t(kMaxStepK * kTileRows));
  std::vector<float> gate, up; ///< [rows][16] sums; `up` for silu_mul only
};

Result<std::vector<Executor>> Executor::createAll(const PackedWeights &packed) {
  std::vector<Executor> experts;
  for (int64_t expert = 0; expert < packed.descriptor.experts; ++expert) {
    GPTQC_ASSIGN(Executor one, create(packed, expert));
    experts.push_back(std::move(one));
  }
  return experts;
}

Result<Executor> Executor::create(const PackedWeights &packed, int64_t expert) {
  GPTQC_TRY(checkPacked(packed));
  const WeightLayout &layout = packed.layout;
  Executor executor;
  executor.packed = &packed;
  executor.begin = {expert * layout.scaleBytes / 2, expert * layout.zeroBytes,
                    expert * layout.paddedK / 16, expert * layout.n};
  for (const Plane &plane : layout.planes) {
    PlaneSlots slots;
    slots.base = packed.weights.data() + expert * layout.weightBytes + plane.offset;
    slots.chunkK = 16 * plane.stepsPerChunk();
    slots.chunks = layout.paddedK / slots.chunkK;
    slots.shift = plane.shift;
    slots.mask = (1u << plane.width) - 1;
    for (int64_t kp = 0; kp < slots.chunkK; ++kp) {
      for (int64_t row = 0; row < kTileRows; ++row) {
        const BitAddress address = bitAddress(layout, plane, row, kp);
        slots.slots.push_back({uint16_t(address.byte), uint16_t(address.bit)});
      }
    }
    executor.stepK = std::max(executor.stepK, slots.chunkK);
    executor.planes.push_back(std::move(slots));
  }
  executor.valid.resize(size_t(layout.paddedK));
  for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
    if (kp % executor.stepK == 0)
      executor.firstColumn.push_back(int64_t(executor.columns.size()));
    const int64_t column = packed.perm.empty() ? (kp < layout.k ? kp : -1)
                                               : packed.perm[size_t(expert * layout.paddedK + kp)];
    executor.valid[size_t(kp)] = column >= 0;
    if (column >= 0)
      executor.columns.push_back(int32_t(column));
  }
  return executor;
}

float Executor::biasAt(int64_t row) const {
  return packed->bias.empty()
             ? 0.0f
             : toFloat(packed->bias[size_t(begin.bias + row)], packed->descriptor.act);
}

/// One row of X in packed order, without padding: padding is never multiplied, so that a NaN stays
/// where it is.
void Executor::gatherRows(const uint16_t *x, int64_t ldx, int64_t row, float *out) const {
  const uint16_t *source = x + row * ldx;
  const DType type = packed->descriptor.act;
  for (size_t j = 0; j < columns.size(); ++j)
    out[j] = toFloat(source[columns[j]], type);
}

/// The codes of 16 rows x stepK columns from kp on, as [stepK][16].
void Executor::unpackCodes(int64_t tile, int64_t kp, uint8_t *codes) const {
  std::memset(codes, 0, size_t(stepK * kTileRows));
  for (const PlaneSlots &plane : planes) {
    uint8_t *out = codes;
    const int64_t firstChunk = tile * plane.chunks + kp / plane.chunkK;
    for (int64_t chunk = 0; chunk < stepK / plane.chunkK; ++chunk) {
      const uint8_t *source = plane.base + (firstChunk + chunk) * kChunkBytes;
      for (const Slot &slot : plane.slots) {
        uint32_t word;
        std::memcpy(&word, source + slot.byte, sizeof(word));
        *out++ |= uint8_t(((word >> slot.bit) & plane.mask) << plane.shift);
      }
    }
  }
}

/// Fills scratch.weights with [columns of this step][16]; returns how many columns there are.
int64_t Executor::dequantizeStep(int64_t tile, int64_t kp, Scratch &scratch) const {
  unpackCodes(tile, kp, scratch.codes.data());
  const WeightLayout &layout = packed->layout;
  float *out = scratch.weights.data();
  for (int64_t k16 = kp; k16 < kp + stepK; k16 += 16) {
    const int64_t group = layout.paddedGroupSize == 0
                              ? packed->groupOf[size_t(begin.step + k16 / 16)]
                              : k16 / layout.paddedGroupSize;
    const int64_t first = (tile * layout.paddedGroups + group) * kTileRows;
    float scales[kTileRows];
    int zeros[kTileRows];
    for (int row = 0; row < kTileRows; ++row) {
      scales[row] =
          toFloat(packed->scales[size_t(begin.scale + first + row)], packed->descriptor.scales);
      zeros[row] = packed->zeros.empty() ? packed->descriptor.symZero()
                                         : packed->zeros[size_t(begin.zero + first + row)];
    }
    for (int64_t k = k16; k < k16 + 16; ++k) {
      if (!valid[size_t(k)])
        continue;
      const uint8_t *codes = scratch.codes.data() + (k - kp) * kTileRows;
      for (int row = 0; row < kTileRows; ++row)
        out[row] = float(int(codes[row]) - zeros[row]) * scales[row];
      out += kTileRows;
    }
  }
  return (out - scratch.weights.data()) / kTileRows;
}

/// acc[rows][16] = the products of one row tile with all rows of the block.
void Executor::accumulate(int64_t tile, const float *x, int64_t rows, Scratch &scratch,
                          float *acc) const {
  std::fill_n(acc, rows * kTileRows, 0.0f);
  const int64_t ldx = int64_t(columns.size());
  for (int64_t kp = 0; kp < packed->layout.paddedK; kp += stepK) {
    const int64_t count = dequantizeStep(tile, kp, scratch);
    accumulateTile(scratch.weights.data(), count, x + firstColumn[size_t(kp / stepK)], ldx, rows,
                   acc);
  }
}

/// Adds the bias, applies the epilogue and writes the tile's columns of Y.
void Executor::finishTile(int64_t tile, int64_t rows, const Scratch &scratch, uint16_t *y,
                          int64_t ldy) const {
  const Descriptor &d = packed->descriptor;
  const int64_t first = tile * kTileRows;
  const int64_t last = std::min(first + kTileRows, packed->layout.rowsPerPart());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = first; column < last; ++column) {
      const int64_t at = row * kTileRows + column - first;
      float value = scratch.gate[size_t(at)] + biasAt(column);
      if (d.siluMul)
        value = silu(value) * (scratch.up[size_t(at)] + biasAt(column + d.n / 2));
      y[row * ldy + column] = fromFloat(value, d.out);
    }
  }
}

Status Executor::run(const uint16_t *x, int64_t ldx, int64_t m, uint16_t *y, int64_t ldy,
                     int threads) const {
  const Descriptor &d = packed->descriptor;
  if (m == 0)
    return {};
  if (m < 0 || !x || !y || ldx < d.k || ldy < d.outputColumns())
    return invalidArgument(
        "`{}`: cannot run m = {} with row strides {} and {}; X needs {} columns, "
        "Y {}, and neither may be null",
        d.print(), m, ldx, ldy, d.k, d.outputColumns());
  const WeightLayout &layout = packed->layout;
  const int64_t tiles = (layout.rowsPerPart() + kTileRows - 1) / kTileRows;
  const int64_t upTiles = layout.paddedRowsPerPart() / kTileRows; // packed tiles before `up`
  const int64_t blockRows = std::min(m, kRowsPerBlock);
  const int workers = int(std::min<int64_t>(resolveThreads(threads), std::max(tiles, blockRows)));

  std::vector<Scratch> scratch(static_cast<size_t>(workers));
  for (Scratch &s : scratch) {
    s.gate.resize(size_t(blockRows * kTileRows));
    s.up.resize(d.siluMul ? s.gate.size() : 0);
  }
  std::vector<float> gathered(size_t(blockRows * d.k));
  for (int64_t first = 0; first < m; first += blockRows) {
    const int64_t rows = std::min(blockRows, m - first);
    parallelFor(rows, workers, [&](int64_t row, int) {
      gatherRows(x, ldx, first + row, gathered.data() + row * d.k);
    });
    parallelFor(tiles, workers, [&](int64_t tile, int worker) {
      Scratch &own = scratch[size_t(worker)];
      accumulate(tile, gathered.data(), rows, own, own.gate.data());
      if (d.siluMul)
        accumulate(tile + upTiles, gathered.data(), rows, own, own.up.data());
      finishTile(tile, rows, own, y + first * ldy, ldy);
    });
  }
  return {};
}

Status runExperts(std::span<const Executor> experts, std::span<const int32_t> offsets,
                  const uint16_t *x, int64_t ldx, int64_t rows, uint16_t *y, int64_t ldy,
                  int threads) {
  if (experts.empty())
    return invalidArgument("a layer without experts");
  GPTQC_TRY(checkOffsets(experts[0].descriptor(), offsets, rows));
  for (size_t e = 0; e < experts.size(); ++e)
    GPTQC_TRY(experts[e].run(x + offsets[e] * ldx, ldx, offsets[e + 1] - offsets[e],
                             y + offsets[e] * ldy, ldy, threads));
  return {};
}

} // namespace gptqc
