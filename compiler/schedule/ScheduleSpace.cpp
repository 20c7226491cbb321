// The legality rules, one function per concern, and the grid that the tuner measures.
#include "compiler/schedule/ScheduleSpace.h"

#include <algorithm>
#include <numeric>

#include "compiler/schedule/TilePlan.h"

namespace gptqc {

namespace {

constexpr int kMaxSplitK = 64;

template <typename... Args>
Status refuse(const Schedule &schedule, fmt::format_string<Args...> format, Args &&...args) {
  return Status(Code::Unsupported, fmt::format("schedule '{}': {}", schedule.print(),
                                               fmt::format(format, std::forward<Args>(args)...)));
}

Status checkActivationLoads(const Descriptor &d, const Schedule &s) {
  if (s.xVector == 16 && d.k % 8 != 0 && !permutesX(d, s))
    return refuse(s, "rows of {} elements are no multiple of 16 bytes; use xvec2", d.k);
  if (d.grouped() && permutesX(d, s))
    return refuse(s,
                  "a kernel in front cannot permute X: each expert has its own order; use xvec2");
  return Status();
}

/// Side by side only where gemv has several chunks in a unit.
Status checkUnroll(const Schedule &s, const TilePlan &plan) {
  const int chunks = s.family == Family::Gemv ? plan.warpSteps / plan.flushSteps : 1;
  if (s.unroll > 1 && chunks % s.unroll != 0)
    return refuse(s, "there are {} chunks of k to unroll; use a divisor", chunks);
  return Status();
}

Status checkSplit(const Descriptor &d, const Schedule &s, const TilePlan &plan) {
  if (d.batchInvariant && (s.splitK != 1 || s.kWarps != 1))
    return refuse(s, "batch_invariant needs one order of summation for every M; use neither kwarps "
                     "nor splitk");
  const int64_t most = std::min<int64_t>(plan.kTiles, kMaxSplitK);
  if (s.splitK > most)
    return refuse(s, "there are {} k tiles to split; use splitk{} at most", plan.kTiles, most);
  return Status();
}

Status checkMmaWarps(const Descriptor &d, const Schedule &s) {
  if (s.warps > 16 || s.warps % (s.mWarps * s.kWarps) != 0)
    return refuse(s, "warps must be at most 16 and a multiple of mwarps x kwarps");
  const int rows = std::lcm(16 * s.nWarps(), d.siluMul ? 32 : 16);
  if (s.tileN % rows != 0 || s.tileN > 256)
    return refuse(s,
                  "the weight rows must be a multiple of {} (16 for each of {} warps{}), 256 at "
                  "most",
                  rows, s.nWarps(), d.siluMul ? ", half of them gate" : "");
  if (s.tileM % (8 * s.mWarps) != 0 || s.tileM > 256)
    return refuse(s, "the tokens must be a multiple of {} (8 for each of {} warps), 256 at most",
                  8 * s.mWarps, s.mWarps);
  const int columns = std::lcm(std::max(64, chunkK(d.bits)), 16 * s.kWarps);
  if (s.tileK % columns != 0 || s.tileK > 1024)
    return refuse(s, "the k tile of w{} must be a multiple of {}, 1024 at most", d.bits, columns);
  return Status();
}

Status checkResources(const Target &t, const Schedule &s, const TilePlan &plan) {
  const int available = std::min(255, 65536 / s.threads());
  if (plan.registers > available)
    return refuse(s, "needs about {} registers a thread of {}; use more warps or a smaller tile",
                  plan.registers, available);
  if (plan.sharedBytes > t.maxSharedMemory())
    return refuse(s,
                  "needs {} bytes of shared memory, sm_{} has {} a block; use fewer stages or a "
                  "smaller tile",
                  plan.sharedBytes, t.capability, t.maxSharedMemory());
  return Status();
}

Status checkMma(const Descriptor &d, const Target &t, const Schedule &s) {
  if (d.act == DType::BF16 && !t.hasBf16Mma())
    return refuse(s, "sm_{} has no bf16 mma; use the simt family", t.capability);
  if (!t.hasCpAsync() && s.stages != 1)
    return refuse(s, "sm_{} has no cp.async; use stages1", t.capability);
  if (s.stages > 8)
    return refuse(s, "more than 8 stages hide nothing; use stages8 at most");
  GPTQC_TRY(checkMmaWarps(d, s));
  const TilePlan plan = TilePlan::of(d, s);
  GPTQC_TRY(checkUnroll(s, plan));
  GPTQC_TRY(checkActivationLoads(d, s));
  GPTQC_TRY(checkSplit(d, s, plan));
  return checkResources(t, s, plan);
}

/// See templates/gptqc/gemv_rows.cuh.
Status checkAlongRows(const Target &t, const Schedule &s, const TilePlan &plan) {
  if (!t.hasClusters())
    return refuse(s,
                  "sums of warps along rows cross clusters, which sm_{} has not; write the same "
                  "kwarps as warps",
                  t.capability);
  if (s.unroll != 1)
    return refuse(s, "warps along rows compute one chunk at a time; leave unroll out");
  const int64_t share = (plan.kTiles + s.splitK - 1) / s.splitK;
  if (plan.kTiles - (s.splitK - 1) * share < s.kWarps)
    return refuse(s, "there are {} k tiles for {} parts of k; use fewer or a smaller tile",
                  plan.kTiles, s.splitK * s.kWarps);
  return Status();
}

/// See templates/gptqc/gemv.cuh.
Status checkGemv(const Descriptor &d, const Target &t, const Schedule &s) {
  if (!t.hasCpAsync())
    return refuse(s, "sm_{} has no cp.async; use the mma family", t.capability);
  if (d.batchInvariant)
    return refuse(s,
                  "batch_invariant needs one order of summation for every M; use the mma family");
  if (s.mWarps != 1 || s.warps > 24)
    return refuse(s, "the warps of gemv lie along rows and k, 24 at most; leave mwarps out");
  if (s.stages < 2 || s.stages > 8)
    return refuse(s, "a ring has 2 to 8 stages");
  const int rows = 16 * (d.siluMul ? 2 : 1) * s.nWarps(), tiles = s.tileN / rows;
  if (s.tileN % rows != 0 || (tiles != 1 && tiles != 2 && tiles != 4))
    return refuse(s, "the weight rows must be {}, {} or {}", rows, 2 * rows, 4 * rows);
  if (s.tileM % 8 != 0 || s.tileM > 32)
    return refuse(s, "the tokens must be a multiple of 8, 32 at most");
  if (s.splitK != 1 && !t.hasClusters())
    return refuse(s, "the blocks that split k form a cluster, which sm_{} has not; use splitk1",
                  t.capability);
  if (s.splitK != 1 && s.splitK != 2 && s.splitK != 4 && s.splitK != 8)
    return refuse(s, "clusters have 2, 4 or 8 blocks; use one of these for splitk");
  const TilePlan plan = TilePlan::of(d, s);
  const int columns = std::max(64, chunkK(d.bits));
  if (s.tileK % columns != 0 || s.tileK > 1024 || plan.layout.paddedK % s.tileK != 0)
    return refuse(s, "the k tile of w{} must be a multiple of {} that divides {}, 1024 at most",
                  d.bits, columns, plan.layout.paddedK);
  GPTQC_TRY(checkUnroll(s, plan));
  GPTQC_TRY(checkActivationLoads(d, s));
  if (s.alongRows())
    GPTQC_TRY(checkAlongRows(t, s, plan));
  return checkResources(t, s, plan);
}

Status checkWgmmaTile(const Descriptor &d, const Schedule &s) {
  const int consumers = s.warps / 4;
  if (s.warps % 4 != 0 || consumers < 1 || consumers > 4 || consumers % s.kWarps != 0 ||
      s.mWarps != 1)
    return refuse(s, "wgmma has 4, 8, 12 or 16 warps, kwarps warpgroups of them along k");
  const int rows = 64 * (consumers / s.kWarps);
  if (s.tileN % rows != 0 || s.tileN > 512)
    return refuse(s, "the weight rows must be a multiple of {}, 512 at most", rows);
  if (s.tileM > 256 || s.tileM % 8 != 0 || (s.tileM > 64 && s.tileM % 32 != 0))
    return refuse(s, "the tokens must be a multiple of 8 up to 64, of 32 up to 256");
  const int columns = s.kWarps * std::max(128, chunkK(d.bits));
  if (s.tileK % columns != 0 || s.tileK > 1024)
    return refuse(s, "the k tile of w{} must be a multiple of {}, 1024 at most", d.bits, columns);
  // A warpgroup along k that took over a slot from another one would not know which round of the
  // ring it waits for: a barrier tells only two apart.
  if (s.stages < 2 || s.stages > 32 || (s.kWarps > 1 && s.stages % (s.tileK / 64) != 0))
    return refuse(s, "a ring of X has 2 to 32 stages, and with kwarps whole k tiles");
  if (s.tileM % (8 * s.multicast) != 0 || s.splitK * s.multicast > 8)
    return refuse(s, "splitk x multicast blocks form a cluster, 8 at most, and multicast divides "
                     "the tokens into multiples of 8");
  return Status();
}

/// See templates/gptqc/wgmma_plan.cuh.
Status checkWgmma(const Descriptor &d, const Target &t, const Schedule &s) {
  if (!t.hasWgmma())
    return refuse(s, "wgmma needs sm_90a; use the mma family");
  if (d.batchInvariant)
    return refuse(s,
                  "batch_invariant needs one order of summation for every M; use the mma family");
  GPTQC_TRY(checkWgmmaTile(d, s));
  const TilePlan plan = TilePlan::of(d, s);
  GPTQC_TRY(checkUnroll(s, plan));
  if (s.xVector != 16 || (d.k % 8 != 0 && !permutesX(d, s)))
    return refuse(s, "the copy engine takes rows of X of whole 16 bytes; use the mma family");
  GPTQC_TRY(checkSplit(d, s, plan));
  if (plan.weightStages < 2)
    return refuse(s, "no shared memory is left for weights; use fewer stages or a smaller tile");
  const int consumers = s.warps / 4, available = consumers <= 2 ? 232 : consumers == 3 ? 160 : 112;
  if (plan.registers > available)
    return refuse(s, "needs about {} registers a thread of {}; use more warps or a smaller tile",
                  plan.registers, available);
  if (plan.sharedBytes > t.maxSharedMemory())
    return refuse(s, "needs {} bytes of shared memory of {}; use fewer stages or a smaller tile",
                  plan.sharedBytes, t.maxSharedMemory());
  return Status();
}

/// One thread owns one row; X is read element by element whatever its alignment.
Status checkSimt(const Schedule &s) {
  if (s.mWarps != 1 || s.kWarps != 1 || s.stages != 1 || s.splitK != 1 || s.unroll != 1 ||
      s.xVector != 16)
    return refuse(s,
                  "simt has one warp layout and no pipeline; use 'simt t128x4x16 warps4 stages1'");
  if (s.warps > 16 || s.tileN != s.threads() || s.tileK != 16 || s.tileM > 16)
    return refuse(s, "simt tiles are t<threads>x<1..16>x16; use 'simt t128x4x16 warps4 stages1'");
  return Status();
}

/// What the tuner tries along each axis.
constexpr int kTileN[] = {64, 128, 256}, kWarpCounts[] = {4, 8}, kMWarps[] = {1, 2, 4},
              kKWarps[] = {1, 2, 4, 8}, kTileK[] = {64, 128, 256, 512}, kStages[] = {1, 2, 3, 4, 6},
              kSplits[] = {1, 2, 3, 4, 6, 8, 12, 16};

/// Appends the legal schedules with a given token tile.
void appendMma(const Descriptor &d, const Target &t, Schedule s, std::vector<Schedule> &found) {
  const auto legal = [&] { return ScheduleSpace::check(d, t, s).ok(); };
  for (int tileK : kTileK)
    for (int kWarps : kKWarps) {
      if (tileK % chunkK(d.bits) != 0 || tileK / 16 % (4 * kWarps) != 0)
        continue; // warps whose words of the planes are shared are legal but slow
      for (int warps : kWarpCounts)
        for (int mWarps : kMWarps)
          for (int tileN : kTileN) {
            s.tileN = tileN, s.tileK = tileK, s.warps = warps, s.mWarps = mWarps, s.kWarps = kWarps;
            s.splitK = 1, s.stages = t.hasCpAsync() ? 2 : 1;
            if (warps % (mWarps * kWarps) != 0 || !legal())
              continue;
            for (int stages : kStages)
              for (int splitK : kSplits) {
                s.stages = stages, s.splitK = splitK;
                if (stages == 1 ? !t.hasCpAsync() && legal() : t.hasCpAsync() && legal())
                  found.push_back(s);
              }
          }
    }
}

/// Registers of a thread that its scheduler's warps leave it; plans estimate to about 8.
int comfortableRegisters(const Schedule &s) { return 512 / ((s.threads() + 127) / 128) - 8; }

/// Appends the legal gemv schedules: for few tokens only.
void appendGemv(const Descriptor &d, const Target &t, Schedule s, std::vector<Schedule> &found) {
  constexpr int64_t kFewTokens = 32;
  constexpr int kNarrowBits = 3; // whose computing takes longer than their bytes
  if (d.m.hi > kFewTokens)
    return;
  s.family = Family::Gemv;
  s.tileM = int(std::max<int64_t>(1, (d.m.hi + 7) / 8)) * 8;
  for (int tiles : {1, 2, 4})
    for (int tileK : {64, 128, 256, 512})
      for (int warps : {4, 8, 12, 16, 20, 24}) {
        if (warps > 16 && d.bits > kNarrowBits)
          continue; // wider ones wait for memory
        s.warps = s.kWarps = warps;
        for (int stages : {2, 3, 4, 6})
          for (int splitK : {1, 2, 4, 8})
            for (int unroll : {1, 2}) {
              s.tileN = 16 * tiles * (d.siluMul ? 2 : 1);
              s.tileK = tileK, s.stages = stages, s.splitK = splitK, s.unroll = unroll;
              if ((unroll == 1 || d.bits <= kNarrowBits) && ScheduleSpace::check(d, t, s).ok() &&
                  ((warps <= 16 && tiles < 4 && unroll == 1) ||
                   TilePlan::of(d, s).registers <= comfortableRegisters(s)))
                found.push_back(s);
            }
      }
}

/// Appends the legal gemv schedules with warps along rows: where the sums of warps along k would be
/// as large as the weights.
void appendRows(const Descriptor &d, const Target &t, Schedule s, std::vector<Schedule> &found) {
  constexpr int64_t kFewTokens = 32, kLeastTokens = 9;
  constexpr int kRowWarps[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16};
  if (d.m.hi > kFewTokens || d.m.hi < kLeastTokens || !t.hasClusters())
    return;
  s.family = Family::Gemv;
  s.tileM = int((d.m.hi + 7) / 8) * 8;
  for (int tiles : {1, 2, 4})
    for (int nWarps : kRowWarps)
      for (int kWarps : {1, 2, 4}) {
        s.warps = nWarps * kWarps, s.kWarps = kWarps;
        s.tileN = 16 * tiles * (d.siluMul ? 2 : 1) * nWarps;
        if (s.warps > 16)
          continue;
        for (int tileK : {64, 128, 256})
          for (int splitK : {1, 2, 4, 8})
            for (int stages : {3, 4, 6, 8}) {
              s.tileK = tileK, s.stages = stages, s.splitK = splitK;
              if (ScheduleSpace::check(d, t, s).ok() &&
                  TilePlan::of(d, s).registers <= comfortableRegisters(s))
                found.push_back(s);
            }
      }
}

/// Appends the legal wgmma schedules: from a handful of tokens on.
void appendWgmma(const Descriptor &d, const Target &t, Schedule s, std::vector<Schedule> &found) {
  struct Shape {
    int tileN, warps, kWarps;
  };
  constexpr Shape kShapes[] = {{64, 8, 2},   {64, 16, 4},  {128, 8, 1}, {128, 8, 2},
                               {128, 16, 2}, {192, 12, 1}, {256, 8, 1}, {256, 16, 1}};
  constexpr int64_t kManyTokens = 9; // below it the weights stream faster through gemv
  if (d.m.hi < kManyTokens)
    return;
  s.family = Family::Wgmma;
  // Of each tile, with deeper and deeper rounds, the two deepest rings of X that leave weights
  // three slots.
  const auto appendRings = [&](int unitK) {
    s.tileK = s.kWarps * unitK;
    int kept = 0;
    for (int stages : {16, 12, 10, 8, 6, 5, 4}) {
      s.stages = stages;
      if (kept < 2 && ScheduleSpace::check(d, t, s).ok() && TilePlan::of(d, s).weightStages >= 3) {
        found.push_back(s);
        ++kept;
      }
    }
  };
  for (const Shape &shape : kShapes)
    for (int tileM : {16, 32, 64, 96, 128, 192, 256})
      for (int splitK : {1, 2})
        for (int multicast : {1, 2}) {
          s.tileN = shape.tileN, s.warps = shape.warps, s.kWarps = shape.kWarps, s.tileM = tileM;
          s.splitK = splitK, s.multicast = multicast;
          for (int unitK = std::max(128, chunkK(d.bits)); unitK <= 512; unitK *= 2)
            appendRings(unitK);
        }
}

} // namespace

Status ScheduleSpace::check(const Descriptor &d, const Target &t, const Schedule &s) {
  GPTQC_TRY(d.validate());
  if (d.grouped() && s.family != Family::Mma && s.family != Family::Simt)
    return refuse(s, "the persistent blocks of {} keep to one expert's weights; use the mma family",
                  familyName(s.family));
  switch (s.family) {
  case Family::Simt:
    return checkSimt(s);
  case Family::Mma:
    return checkMma(d, t, s);
  case Family::Gemv:
    return checkGemv(d, t, s);
  case Family::Wgmma:
    return checkWgmma(d, t, s);
  }
  return Status();
}

std::vector<Schedule> ScheduleSpace::enumerate(const Descriptor &d, const Target &t) {
  std::vector<Schedule> found;
  const int64_t tokens = std::min<int64_t>(d.m.hi, 128);
  Schedule s;
  s.family = Family::Mma;
  // Permuted X: gathered by the kernel, or by one in front.
  for (int xVector : {2, 16}) {
    if (xVector == 2 && d.k % 8 == 0 && !TilePlan::layoutOf(d).permuted)
      continue;
    s.xVector = xVector;
    for (int tileM : {8, 16, 32, 64, 128}) {
      s.tileM = tileM;
      if (tileM == 8 || tileM < 2 * tokens)
        appendMma(d, t, s, found);
    }
    if (!d.grouped()) {
      appendGemv(d, t, s, found);
      appendRows(d, t, s, found);
    }
  }
  if (!d.grouped())
    appendWgmma(d, t, s, found);
  Schedule simt;
  simt.family = Family::Simt;
  simt.tileN = 128, simt.tileM = 4, simt.tileK = 16;
  found.push_back(simt);
  return found;
}

} // namespace gptqc
