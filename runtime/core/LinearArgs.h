// LinearArgs: the one parameter of every linear kernel, passed by value. templates/gptqc/args.cuh
// declares the same struct for device code; both sides assert its size.
#ifndef GPTQC_RUNTIME_CORE_LINEARARGS_H
#define GPTQC_RUNTIME_CORE_LINEARARGS_H

#include <cstdint>

namespace gptqc {

/// Split-k kernels count the splits of a tile in the first kCounterBytes of the workspace. The
/// region has one size for all kernels and M, so that partial sums of one launch never lie where
/// another one counts; a launch has at most kMaxSplitTiles tiles.
inline constexpr int64_t kMaxSplitTiles = 16384;
inline constexpr int64_t kCounterBytes = kMaxSplitTiles * 4;

/// Device pointers are borrowed for the launch. Of a grouped layer, what belongs to the layer holds
/// all experts one behind the other, each as that of a plain layer.
struct LinearArgs {
  uint64_t weights = 0; ///< PackedWeights::weights, 16-byte aligned
  uint64_t scales = 0;  ///< PackedWeights::scales
  uint64_t zeros = 0;   ///< PackedWeights::zeros; 0 when symmetric
  uint64_t groupOf = 0; ///< PackedWeights::groupOf; 0 unless ragged
  uint64_t perm = 0;    ///< PackedWeights::perm; 0 when the permutation is the identity
  uint64_t bias = 0;    ///< [N]; 0: none
  uint64_t x = 0;       ///< [M,K], row stride ldx elements
  uint64_t y = 0;       ///< [M, outputColumns], row stride ldy elements
  uint64_t workspace =
      0; ///< workspaceBytes(); zeroed once, every launch leaves its counters at zero
  int64_t ldx = 0;
  int64_t ldy = 0;
  int32_t m = 0;
  int32_t counterBytes = 0;   ///< kCounterBytes: where the partial sums begin in the workspace
  int32_t overlaps = 0;       ///< not 0: launched before the kernel in front has ended
  int32_t firstTile = 0;      ///< token tile of a grouped layer that the grid begins with
  uint64_t expertOffsets = 0; ///< [experts + 1] int32: rows of X where experts begin; 0: plain
};
static_assert(sizeof(LinearArgs) == 112);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_LINEARARGS_H
