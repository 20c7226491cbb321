// TilePlan: the numbers that follow from a descriptor and a schedule, e.g. bytes of a stage and
// steps between two applications of the scales. Legality, cost model and LowerToTile all read them
// here.
#ifndef GPTQC_COMPILER_SCHEDULE_TILEPLAN_H
#define GPTQC_COMPILER_SCHEDULE_TILEPLAN_H

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/WeightLayout.h"

namespace gptqc {

/// Alignment of every buffer in shared memory, bytes.
inline constexpr int64_t kSharedAlignment = 128;

/// Terms as in templates/gptqc/tile.cuh, gemv.cuh and wgmma_plan.cuh. Meaningful for mma, gemv and
/// wgmma schedules that pass ScheduleSpace::check; for simt only layout, groupSteps, kTiles and
/// sumsBytes are.
struct TilePlan {
  WeightLayout layout;
  int groupSteps = 0;          ///< k16 steps per packed group; 0 when ragged
  int64_t kTiles = 0;          ///< k tiles of the layer
  int warpNTiles = 0;          ///< 16-row fragments of a warp
  int warpMTiles = 0;          ///< 8-token fragments of a warp
  int warpSteps = 0;           ///< k16 steps of a warp in a stage
  int flushSteps = 0;          ///< k16 steps summed up before the scales apply; a power of two
  int scaleRows = 0;           ///< rows of scales that one stage touches
  bool scaleFragments = false; ///< scales go into the weight fragments instead of the partial sums
  int64_t weightBytes = 0;     ///< of one stage, all planes
  int64_t scaleBytes = 0;      ///< of one stage, scales and zero points
  int64_t slotBytes = 0;       ///< of a ring of gemv: both, in whole lines
  int64_t activationBytes = 0; ///< of one stage, [tileM][tileK] 16-bit; gemv: of one k warp's slice
  int64_t sumsBytes = 0;       ///< fp32 tile that the epilogue reads, one per k warp; gemv: mailbox
  int64_t sharedBytes = 0;     ///< of the block; mma: sums overlay the stages, dead by then
  int64_t splitsBytes = 0;     ///< gemv: where blocks of a cluster, or k warps, add their sums up
  int xRows = 0;               ///< gemv: most tokens of a block
  int weightStages = 0;        ///< wgmma: slots of a warp's ring of weights
  bool scalesSums = false;     ///< wgmma: scales of groups multiply sums, not weights
  int registers = 0;           ///< estimate per thread

  static TilePlan of(const Descriptor &descriptor, const Schedule &schedule);
  /// gemv: row tiles of the layer, each of a warp or of all warps along k.
  int64_t items(const Schedule &schedule) const {
    return layout.paddedN / (schedule.tileN / schedule.nWarps());
  }
  /// The packed sizes that a kernel for the descriptor is compiled for.
  static WeightLayout layoutOf(const Descriptor &descriptor);
};

/// Whether the kernel of a schedule reads X from where a kernel in front has put it, with its
/// columns in the order of the packed ones.
bool permutesX(const Descriptor &descriptor, const Schedule &schedule);

/// Packed k that one 16-byte chunk of the narrowest plane covers; tileK is a multiple.
int chunkK(int bits);

} // namespace gptqc

#endif // GPTQC_COMPILER_SCHEDULE_TILEPLAN_H
