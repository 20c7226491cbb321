// WeightLayout: the packed form of a layer's weights ("mma16.v1"), the contract between the host
// packer, the repack kernel, the device headers and the simulator. runtime/core/README.md has the
// bit order with a worked example per width. The layout depends on the descriptor alone, never on
// the schedule.
#ifndef GPTQC_RUNTIME_CORE_WEIGHTLAYOUT_H
#define GPTQC_RUNTIME_CORE_WEIGHTLAYOUT_H

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

inline constexpr std::string_view kWeightLayoutName = "mma16.v1";

/// One bit plane: [Np/16][Kp/(256/width)][32 lanes][16 bytes].
struct Plane {
  int width = 0;      ///< 1, 2, 4 or 8 bits of each code
  int shift = 0;      ///< position of these bits inside the code
  int64_t offset = 0; ///< bytes from the start of the packed weights
  int64_t bytes = 0;
  /// k16 steps that one lane's 16 bytes hold.
  int stepsPerChunk() const { return 16 / width; }
};

/// Sizes of a packed layer; a function of bits, N, K, the group lengths and silu_mul.
struct WeightLayout {
  int bits = 4;
  int64_t n = 0, k = 0;
  int64_t parts = 1;           ///< 2 for silu_mul: gate and up are padded to 64 rows each
  int64_t paddedN = 0;         ///< Np, rows of all parts
  int64_t paddedK = 0;         ///< Kp, a multiple of the widest chunk used
  int64_t groups = 0;          ///< G of the layer
  int64_t paddedGroups = 0;    ///< Gp: groups addressable from any k < Kp
  int64_t paddedGroupSize = 0; ///< packed k per group, a multiple of 16; 0 when ragged
  std::vector<Plane> planes;   ///< widest first
  int64_t weightBytes = 0;     ///< of all planes
  int64_t scaleBytes = 0;      ///< [Np/16][Gp][16] 16-bit scales
  int64_t zeroBytes = 0;       ///< [Np/16][Gp][16] uint8 zeros, 0 when symmetric

  /// Packed K is not 0..K-1 in order, so kernels read X through `perm`: act-order, or several
  /// groups whose size is no multiple of 16.
  bool permuted = false;

  int64_t rowsPerPart() const { return n / parts; }
  int64_t paddedRowsPerPart() const { return paddedN / parts; }
  /// Packed row of output row `row`.
  int64_t packedRow(int64_t row) const {
    return row / rowsPerPart() * paddedRowsPerPart() + row % rowsPerPart();
  }

  /// For a layer whose groups all have descriptor.effectiveGroupSize() columns (the last may be
  /// short).
  static WeightLayout uniform(const Descriptor &descriptor);
  /// For group lengths as given (ragged), in packed order; at most descriptor.groupCount() of them.
  /// Sizes are those of the worst lengths, so that a kernel knows them from the descriptor alone.
  static WeightLayout ragged(const Descriptor &descriptor, const std::vector<int64_t> &lengths);
};

/// The planes of a bit width, widest first: 3 = 2+1, 5 = 4+1, 6 = 4+2, 7 = 4+2+1. Offsets are 0.
std::vector<Plane> planesOf(int bits);

/// A layer in packed form. All vectors are what the device needs, byte for byte. Of a grouped
/// layer, `layout` is one expert's, and the vectors hold all experts one behind the other.
struct PackedWeights {
  Descriptor descriptor;
  WeightLayout layout;
  std::vector<uint8_t> weights; ///< planes, widest first
  std::vector<uint16_t> scales; ///< [Np/16][Gp][16]
  std::vector<uint8_t> zeros;   ///< [Np/16][Gp][16]; empty when symmetric
  std::vector<int32_t> groupOf; ///< [Kp/16]; empty unless ragged
  std::vector<int32_t> perm;    ///< [Kp] source column or -1; empty when kp -> kp for all kp < K
  std::vector<uint16_t> bias;   ///< [N]
};

/// Order of the columns in packed K and the table that goes with it; what both packers follow. Of a
/// grouped layer, the tables hold all experts, and `identity` says it of all.
struct PackedOrder {
  WeightLayout layout;
  std::vector<int32_t> perm;    ///< [Kp], always filled; -1 pads
  std::vector<int32_t> groupOf; ///< [Kp/16], always filled
  bool identity = false;        ///< perm[kp] == kp for kp < K, -1 beyond
};
PackedOrder packedOrder(const QuantizedMatrix &matrix);

/// Where the bits of a code of packed (row, kp) lie in a plane.
struct BitAddress {
  int64_t byte = 0; ///< offset of the 32-bit word from the plane's start
  int bit = 0;      ///< lowest bit inside that word
};
BitAddress bitAddress(const WeightLayout &layout, const Plane &plane, int64_t row, int64_t kp);

/// Packs on the host; experts one by one. The matrix must have passed layerFromCodes or a
/// checkpoint reader.
PackedWeights packWeights(const QuantizedMatrix &matrix);

/// The code at packed (row, kp), read back from the planes.
int unpackCode(const PackedWeights &packed, int64_t row, int64_t kp);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_WEIGHTLAYOUT_H
