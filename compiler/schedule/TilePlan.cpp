// Derives the numbers of a tile. The formulas mirror templates/gptqc/tile.cuh.
#include "compiler/schedule/TilePlan.h"

#include <algorithm>

namespace gptqc {

namespace {

int64_t alignShared(int64_t bytes) {
  return (bytes + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
}

int scaleRowsOf(int steps, int groupSteps) {
  if (groupSteps == 0)
    return steps;
  if (groupSteps % steps == 0)
    return 1;
  if (steps % groupSteps == 0)
    return steps / groupSteps;
  return (steps + groupSteps - 2) / groupSteps + 1;
}

/// The longest run of steps that shares a scale row and whose activations (unless they are loaded
/// two steps at a time, `alongRows`) and codes fit in registers.
int flushStepsOf(const Descriptor &d, const TilePlan &plan, bool alongRows = false) {
  if (d.batchInvariant && !plan.scaleFragments)
    return 1; // the partial sums that are rounded must not depend on the tile
  constexpr int kFragmentRegisters = 32;
  const int most = alongRows ? 8 : kFragmentRegisters / (2 * std::max(1, plan.warpMTiles));
  int steps = 1;
  while (steps < 8 && plan.warpSteps % (2 * steps) == 0 && plan.groupSteps % (2 * steps) == 0 &&
         plan.groupSteps != 0 && 2 * steps <= most)
    steps *= 2;
  return steps;
}

/// Mirrors templates/gptqc/gemv_rows.cuh and rows_exchange.cuh.
void planRows(const Descriptor &d, const Schedule &s, int64_t sliceUnits, TilePlan &plan) {
  constexpr int64_t kRowPadding = 16, kFragmentBytes = 512, kBarrierBytes = 8;
  const int parts = d.siluMul ? 2 : 1, nWarps = s.nWarps(), kParts = s.splitK * s.kWarps;
  plan.xRows = s.tileM;
  plan.activationBytes = s.tileM * (sliceUnits * s.tileK * 2 + kRowPadding);
  const int64_t fragments = int64_t(plan.warpNTiles) / parts * plan.warpMTiles;
  const int64_t owned = kParts > 1 ? (fragments + s.splitK - 1) / s.splitK : 0;
  const int64_t barriers = s.kWarps * (sliceUnits + nWarps) + nWarps;
  plan.splitsBytes =
      (nWarps * owned * kParts * parts * kFragmentBytes + barriers * kBarrierBytes + 15) / 16 * 16;
  plan.sharedBytes = alignShared(s.warps * s.stages * plan.slotBytes) +
                     alignShared(s.kWarps * plan.activationBytes) + alignShared(plan.splitsBytes);
  const bool severalPlanes = (d.bits & (d.bits - 1)) != 0;
  const int words = std::max(1, plan.flushSteps * d.bits / 4) + (severalPlanes ? 14 : 4);
  plan.registers = plan.warpNTiles * (plan.warpMTiles * 8 + words) + plan.warpMTiles * 4 + 44 +
                   (s.xVector == 2 ? 24 : 0); // X is gathered element by element
}

/// Mirrors gemv_shape of templates/gptqc/weight_stream.cuh.
void planGemv(const Descriptor &d, const Schedule &s, TilePlan &plan) {
  const int rows = s.tileN / std::max(1, s.nWarps()), nTiles = rows / 16; // of a warp
  plan.warpNTiles = nTiles;
  plan.warpMTiles = s.tileM / 8;
  plan.warpSteps = s.tileK / 16;
  plan.flushSteps = flushStepsOf(d, plan, s.alongRows());
  plan.scaleRows = scaleRowsOf(plan.warpSteps, plan.groupSteps);
  plan.weightBytes = int64_t(rows) * s.tileK * d.bits / 8;
  plan.scaleBytes = int64_t(nTiles) * plan.scaleRows * (d.sym ? 32 : 48);
  constexpr int64_t kLine = 128;
  plan.slotBytes = (plan.weightBytes + plan.scaleBytes + kLine - 1) / kLine * kLine;
  plan.xRows = int(std::min<int64_t>(s.tileM, d.m.hi));
  const int64_t splitUnits = (plan.kTiles + s.splitK - 1) / s.splitK;
  const int64_t sliceUnits = (splitUnits + s.kWarps - 1) / s.kWarps;
  if (s.alongRows())
    return planRows(d, s, sliceUnits, plan);
  plan.activationBytes = plan.xRows * sliceUnits * s.tileK * 2;
  constexpr int64_t kBarrierBytes = 32;
  plan.sumsBytes = int64_t(2) * s.kWarps * s.tileM * (s.tileN + 4) * 4 + kBarrierBytes;
  plan.sharedBytes = alignShared(s.kWarps * s.stages * plan.slotBytes) +
                     alignShared(s.kWarps * plan.activationBytes) + alignShared(plan.sumsBytes);
  if (s.splitK > 1) {
    constexpr int64_t kSplitBarrierBytes = 16;
    plan.splitsBytes =
        int64_t(2) * s.splitK * s.tileM * s.tileN * 4 + (s.splitK + 1) * kSplitBarrierBytes;
    plan.sharedBytes += alignShared(plan.splitsBytes);
  }
  const bool severalPlanes = (d.bits & (d.bits - 1)) != 0;
  const int words = std::max(1, plan.flushSteps * d.bits / 4) + (severalPlanes ? 16 : 6);
  // A chunk that is computed beside another one has partial sums of its own, and words and X until
  // they are used up.
  const int chunks = std::min(s.unroll, 64); // a unit has no more
  const int fragments = plan.flushSteps * plan.warpMTiles;
  plan.registers = nTiles * (plan.warpMTiles * 8 + words) + fragments * 2 + 36 +
                   (chunks - 1) * (nTiles * (plan.warpMTiles * 4 + words / 2) + fragments);
}

/// Mirrors wgmma_plan::scales_sums of templates/gptqc/wgmma_plan.cuh.
bool scalesSums(const Descriptor &d, const Schedule &s, const TilePlan &plan) {
  const int consumers = s.warps / 4, groupSteps = plan.groupSteps;
  const int room = consumers <= 2 ? 64 : consumers == 3 ? 48 : 32;
  return groupSteps > 0 && groupSteps % 4 == 0 && plan.layout.paddedGroups > 1 &&
         plan.warpSteps % groupSteps == 0 && plan.layout.paddedK % s.tileK == 0 &&
         s.tileM < (d.scales == d.act ? 8 : 16) * groupSteps && plan.warpNTiles * s.tileM <= room;
}

/// Mirrors wgmma_plan of templates/gptqc/wgmma_plan.cuh; the ring of weights takes the shared
/// memory that the rest leaves.
void planWgmma(const Descriptor &d, const Schedule &s, TilePlan &plan) {
  constexpr int64_t kShared = 232448, kStagingBytes = 1152, kBarrierBytes = 16;
  constexpr int kMaxWeightStages = 8;
  const int consumers = s.warps / 4;
  const int nGroups = std::max(1, consumers / s.kWarps); // 0 only in schedules that are not legal
  const int unitK = s.tileK / s.kWarps;
  plan.warpNTiles = s.tileN / (64 * nGroups);
  plan.warpMTiles = s.tileM / 8;
  plan.warpSteps = unitK / 16;
  plan.scaleRows = int(
      std::min<int64_t>(scaleRowsOf(plan.warpSteps, plan.groupSteps), plan.layout.paddedGroups));
  plan.weightBytes = int64_t(16) * unitK * d.bits / 8;
  plan.scaleBytes = int64_t(plan.scaleRows) * (d.sym ? 32 : 48);
  plan.activationBytes = int64_t(s.tileM) * 128;
  const int64_t fixed = s.stages * plan.activationBytes + s.warps * kStagingBytes +
                        s.stages * kBarrierBytes + kSharedAlignment;
  const int64_t slot =
      std::max<int64_t>(1, s.warps * plan.warpNTiles * (plan.weightBytes + plan.scaleBytes));
  plan.weightStages = int(std::clamp<int64_t>((kShared - fixed) / slot, 0, kMaxWeightStages));
  const int64_t exchange =
      s.splitK * s.kWarps > 1 ? int64_t(consumers) * plan.warpNTiles * plan.warpMTiles * 2048 : 0;
  plan.sumsBytes = exchange;
  const int64_t rings = s.stages * plan.activationBytes + plan.weightStages * slot;
  plan.sharedBytes =
      alignShared(std::max(rings, exchange)) + s.warps * kStagingBytes + s.stages * kBarrierBytes;
  const bool oneRow = plan.groupSteps != 0 && plan.groupSteps % 4 == 0;
  const int scales = (oneRow ? 2 : 8) * (d.sym ? 1 : 2);
  // Where the row of scales of a step takes a search or a division.
  const bool dividesSteps = !d.ragged && plan.layout.paddedGroups > 1 &&
                            (plan.groupSteps & (plan.groupSteps - 1)) != 0 &&
                            plan.groupSteps % plan.warpSteps != 0;
  // Fitted to what ptxas spills: words that become codes plane by plane, and wider conversions.
  const size_t planes = planesOf(d.bits).size();
  const int ofPlanes = planes == 3   ? 46
                       : planes == 2 ? (plan.warpNTiles > 1 ? 13 : 6)
                                     : (d.bits == 8 ? 2 : 0);
  const int temporaries = ofPlanes + (d.act == DType::F16 ? 0 : planes == 1 ? 8 : 24);
  plan.scalesSums = scalesSums(d, s, plan);
  const int sums = s.tileM / 2 * (plan.scalesSums ? 2 : 1);
  plan.registers = plan.warpNTiles * (sums + 32 + d.bits + scales + temporaries) +
                   (!d.sym && consumers == 4 ? 34 : 30) + (s.splitK * s.kWarps > 2 ? 8 : 0);
  // Two fragments whose zero points change within a unit: seen to spill with several planes.
  if (!d.sym && planes > 1 && plan.warpNTiles > 1 && plan.scaleRows > 1)
    plan.registers += 28;
  // ptxas spills divisions unless the warpgroups share k.
  if (d.ragged || dividesSteps)
    plan.registers += d.ragged || s.kWarps > 1 ? 32 : 132;
}

} // namespace

int chunkK(int bits) { return 256 / planesOf(bits).back().width; }

bool permutesX(const Descriptor &d, const Schedule &s) {
  return s.family != Family::Simt && s.xVector == 16 && TilePlan::layoutOf(d).permuted;
}

WeightLayout TilePlan::layoutOf(const Descriptor &d) {
  return d.ragged ? WeightLayout::ragged(d, {}) : WeightLayout::uniform(d);
}

TilePlan TilePlan::of(const Descriptor &d, const Schedule &s) {
  TilePlan plan;
  plan.layout = layoutOf(d);
  plan.groupSteps = d.ragged ? 0 : int(plan.layout.paddedGroupSize / 16);
  plan.kTiles = (plan.layout.paddedK + s.tileK - 1) / s.tileK;
  plan.sumsBytes = int64_t(s.kWarps) * s.tileM * (s.tileN + 4) * 4;
  plan.sharedBytes = alignShared(plan.sumsBytes);
  if (s.family == Family::Gemv)
    planGemv(d, s, plan);
  if (s.family == Family::Wgmma)
    planWgmma(d, s, plan);
  if (s.family != Family::Mma)
    return plan;

  const int steps = s.tileK / 16, nTiles = s.tileN / 16;
  plan.warpNTiles = nTiles / s.nWarps();
  plan.warpMTiles = s.tileM / 8 / s.mWarps;
  plan.warpSteps = steps / s.kWarps;
  // Multiplying a fragment pays once several token fragments share it. For batch_invariant the
  // choice must not follow M.
  plan.scaleFragments = d.scales == d.act && (plan.warpMTiles >= 4 || d.batchInvariant);
  plan.flushSteps = flushStepsOf(d, plan);
  plan.scaleRows = scaleRowsOf(steps, plan.groupSteps);
  plan.weightBytes = int64_t(s.tileN) * s.tileK * d.bits / 8;
  plan.scaleBytes = int64_t(nTiles) * plan.scaleRows * (d.sym ? 32 : 48);
  plan.activationBytes = int64_t(s.tileM) * s.tileK * 2;
  const int64_t stages = alignShared(plan.weightBytes * s.stages) +
                         alignShared(plan.scaleBytes * s.stages) +
                         alignShared(plan.activationBytes * s.stages);
  plan.sharedBytes = std::max(stages, alignShared(plan.sumsBytes));

  const int accumulators = plan.warpNTiles * plan.warpMTiles * 4;
  const int partials = plan.scaleFragments ? 0 : plan.warpMTiles * 4;
  const int activations = plan.flushSteps * plan.warpMTiles * 2;
  const int words = std::max(1, plan.flushSteps * d.bits / 4) + 3;
  plan.registers = accumulators + partials + activations + words + 48;
  return plan;
}

} // namespace gptqc
