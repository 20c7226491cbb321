// Cycles of one launch = waves of resident blocks * the slowest of {loading, dequantizing,
// multiplying} a block's share, plus fill, epilogue and the split reduction.
#include "compiler/schedule/CostModel.h"

#include <algorithm>
#include <cmath>

#include "compiler/schedule/TilePlan.h"
#include "compiler/schedule/WgmmaCost.h"

namespace gptqc {

namespace {

constexpr double kLaunchCycles = 2500;       // launch and ramp, about 1.5 us
constexpr double kMemoryLatency = 800;       // one DRAM round trip
constexpr double kStageOverhead = 60;        // wait, barrier and address arithmetic of one k tile
constexpr double kDramBytesPerCycle = 20;    // per SM, of the whole GPU's bandwidth
constexpr double kCacheBytesPerCycle = 48;   // per SM, from L2
constexpr double kBytesInFlight = 32 * 1024; // per SM, to reach the bandwidth above
constexpr double kFriction = 2.8;            // of an mma k loop; measured, H200, all shapes
constexpr double kMmaExposed = 0.6;          // of the shorter of dequantizing and multiplying
constexpr double kHidingWarps = 8;           // of an SM; fewer leave latencies bare
constexpr double kBare = 1.15;
constexpr double kBesideWgmma = 1.25;      // of more than 32 tokens, where wgmma competes
constexpr double kSimtCyclesPerTerm = 4;   // of one thread, dequantization included
constexpr int kComfortableRegisters = 160; // of the estimate; above it ptxas may spill
constexpr int64_t kUnboundedTokens = 16384;

double tokensOf(const Descriptor &d) {
  return double(d.m.hi == kUnboundedM ? std::max(d.m.lo, kUnboundedTokens) : d.m.hi);
}

/// Experts that rows meet when each takes any of them.
double expertsHit(const Descriptor &d) {
  return d.grouped() ? d.experts * (1 - std::exp(-tokensOf(d) / d.experts)) : 1;
}

/// Tiles of tokens; the last one of an expert is half full on average.
double tokenTiles(const Descriptor &d, const Schedule &s) {
  if (!d.grouped())
    return std::ceil(tokensOf(d) / s.tileM);
  const double hit = expertsHit(d);
  return hit * std::max(1.0, tokensOf(d) / hit / s.tileM + 0.5);
}

/// Multiply-adds per cycle and SM of 16-bit mma.sync.
double mmaRate(const Target &t) {
  switch (t.capability) {
  case 80:
  case 100:
    return 1024;
  case 90:
    return 1280; // of the 2048 that wgmma has
  default:
    return 512;
  }
}

double blocksPerSm(const Target &t, const Schedule &s, const TilePlan &plan) {
  const double reserved = t.capability == 75 ? 0 : 1024; // of each block, beside its own
  const double shared =
      (double(t.maxSharedMemory()) + reserved) / (double(plan.sharedBytes) + reserved);
  const double registers = 65536.0 / (double(plan.registers) * s.threads());
  const double threads = (t.capability == 75 ? 1024.0 : 1536.0) / s.threads();
  return std::max(1.0, std::floor(std::min({shared, registers, threads, 16.0})));
}

struct Grid {
  double blocks = 0, resident = 0; ///< blocks of the launch; blocks that share an SM
  double waves = 0;
};

Grid gridOf(const Descriptor &d, const Target &t, const Schedule &s, const TilePlan &plan) {
  Grid grid;
  const double rowBlocks = std::ceil(double(plan.layout.paddedN) / s.tileN);
  grid.blocks = rowBlocks * tokenTiles(d, s) * s.splitK;
  const double sms = t.plannedSmCount();
  grid.resident = std::min(blocksPerSm(t, s, plan), std::max(1.0, std::ceil(grid.blocks / sms)));
  grid.waves = std::ceil(grid.blocks / (sms * grid.resident));
  return grid;
}

double mmaCycles(const Descriptor &d, const Target &t, const Schedule &s) {
  const TilePlan plan = TilePlan::of(d, s);
  const Grid grid = gridOf(d, t, s, plan);
  const double kTiles = std::ceil(double(plan.kTiles) / s.splitK);
  const double tokenBlocks = tokenTiles(d, s) / expertsHit(d); // of the same weights

  // All blocks that share an SM move together: costs of one k tile of each of them.
  const double weights = double(plan.weightBytes + plan.scaleBytes);
  // Token blocks of the same rows share weights through L2, when they happen to run together.
  const double fromDram = weights * (0.5 + 0.5 / tokenBlocks);
  const double fromCache = weights + double(plan.activationBytes);
  const double inFlight = grid.resident * fromCache * std::max(1, s.stages - 1);
  const double bandwidth = std::min(1.0, inFlight / kBytesInFlight);
  const double load = grid.resident *
                      std::max(fromDram / kDramBytesPerCycle, fromCache / kCacheBytesPerCycle) /
                      bandwidth;
  const double gather = s.xVector == 2 ? grid.resident * double(s.tileM) * s.tileK / 32 : 0;
  const double multiply = grid.resident * double(s.tileN) * s.tileM * s.tileK / mmaRate(t);
  // Every token warp repeats the dequantization; about one instruction per weight, 4 schedulers.
  const double dequantize =
      grid.resident * double(s.tileN) * s.tileK * s.mWarps * (1.0 + 0.1 * d.bits) / 128;
  // The same warps issue both.
  const double compute = std::max(multiply, dequantize + gather) +
                         kMmaExposed * std::min(multiply, dequantize + gather);
  const double overlapped = std::max(load, compute);
  const double exposed = s.stages > 1 ? 0 : kMemoryLatency;
  const double bare = grid.resident * s.warps < kHidingWarps ? kBare : 1;
  const double kLoop = kTiles * (overlapped * bare + kStageOverhead + exposed);

  const double outputs = double(s.tileN) * s.tileM;
  double epilogue =
      outputs * grid.resident / 64 + (s.kWarps > 1 ? 200 + outputs * s.kWarps / 64 : 0);
  if (s.splitK > 1)
    epilogue += 1500 + outputs * (1 + s.splitK) * 4 * grid.resident / kCacheBytesPerCycle;
  // Before sm_80 the loads in flight are in registers too.
  const int registers = plan.registers + (t.hasCpAsync() ? 0 : 40);
  const double spills = registers > kComfortableRegisters ? 4 : 1;
  const double beside = t.hasWgmma() && !d.grouped() && tokensOf(d) > 32 ? kBesideWgmma : 1;
  return (kLaunchCycles + grid.waves * (kMemoryLatency + kFriction * kLoop + epilogue) * spills) *
         beside;
}

/// Warp instructions of one k16 step of an n16 tile, less the products.
double dequantInstructions(int bits) {
  switch (bits) {
  case 2:
    return 8.5;
  case 3:
    return 12;
  case 4:
    return 9;
  case 8:
    return 10;
  default: // several planes
    return 15;
  }
}

/// Warp instructions of one unit of a gemv warp: what its k tile of its rows takes.
double gemvInstructions(const Descriptor &d, const TilePlan &plan) {
  constexpr double kUnit = 46;   // wait, copies and addresses
  constexpr double kLoadX = 3.2; // of a step and m8 tile; shared memory is busy, too
  const double chunks = double(plan.warpSteps) / plan.flushSteps;
  return kUnit +
         plan.warpSteps * (plan.warpNTiles * (dequantInstructions(d.bits) + plan.warpMTiles) +
                           kLoadX * plan.warpMTiles) +
         chunks * plan.warpNTiles * (8 + 10 * plan.warpMTiles);
}

/// How much longer DRAM takes with so many bytes in flight of an SM: fewer than its latency needs
/// leave it idle, more crowd its queues.
double pressure(double inFlight) {
  constexpr double kLatencyBytes = 34600; // of an SM
  constexpr double kCrowd = 0.0116;
  const double ratio = inFlight / kLatencyBytes;
  return ratio < 1 ? 1 / ratio : 1 + kCrowd * (ratio - 1);
}

/// Clusters that are resident at once. They do not cross the borders of GPCs, so some
/// multiprocessors are left over: on an H200 31 clusters of 4 blocks fit where 33 have room, and
/// nearly all where two blocks share an SM.
double residentClusters(const Target &t, int cluster, double perSm) {
  const double share = cluster <= 2 ? 1 : perSm == 1 ? 0.94 : 0.97;
  return std::max(1.0, std::floor(t.plannedSmCount() * perSm * share / cluster));
}

/// All SMs share the bandwidth of DRAM, so an SM with more items than others has more of it; its
/// computing has nobody to share with. Both overlap. The constants are fitted to the choices at 277
/// points of an H200: all widths, groups and types, 1 to 16 tokens.
double gemvCycles(const Descriptor &d, const Target &t, const Schedule &s) {
  constexpr double kFixed = 2650;         // launch, first bytes, last sums
  constexpr double kGemvDramBytes = 17.4; // per cycle and SM, when all SMs stream
  constexpr double kSharedSm = 0.013;     // longer, for each block more of an SM
  constexpr double kPortBytes = 18.4;     // per cycle into the SM with the most items
  constexpr double kDeepRing = 860;       // of each stage beyond three: X waits for their copies
  constexpr double kSharedLineBytes = 75; // per cycle and SM, of X, whose lines all SMs ask for
  constexpr double kGatherLatency = 4500; // of X through the permutation; measured
  constexpr double kGatherElement = 4;    // cycles of a warp
  constexpr double kSchedulers = 4, kIssueRate = 0.64;
  constexpr double kSideBySide = 0.8;   // of the instructions, where chunks are unrolled
  constexpr double kStepLatency = 26.5; // of one k16 step of a fragment, its products in a chain
  constexpr double kCluster = 1820, kMember = 218; // its launch and barriers; for each block
  constexpr double kMeetRound = 550, kMeetPerOutput = 0.56; // of an item whose sums cross it
  const TilePlan plan = TilePlan::of(d, s);
  const double items = double(plan.items(s)), sms = t.plannedSmCount();
  const double tokenBlocks = std::ceil(tokensOf(d) / s.tileM);
  const double copies = tokenBlocks * s.splitK; // blocks of an item
  const double clusters = residentClusters(t, s.splitK, blocksPerSm(t, s, plan));
  const double rows = std::min(items, std::max(1.0, std::floor(clusters / tokenBlocks)));
  const double rounds = std::ceil(items / rows);
  const double perSm = std::ceil(rows * copies / sms); // blocks
  const double slice = std::ceil(std::ceil(double(plan.kTiles) / s.splitK) / s.kWarps);
  // Of the SM with the most items, if all slices were the longest.
  const double units = slice * s.kWarps * std::max(rounds, std::ceil(items * copies / sms));
  constexpr int kMeasuredWarps = 16; // more may hide more
  const double warps = std::min(s.warps, kMeasuredWarps) * perSm;
  const double instructions = gemvInstructions(d, plan) * (s.unroll > 1 ? kSideBySide : 1);
  const double unitBytes = double(plan.weightBytes + plan.scaleBytes);
  const double inFlight = warps * (s.stages - 1) * double(plan.weightBytes);
  const double share = items * double(plan.kTiles) * copies / s.splitK * unitBytes / sms;
  const double stream =
      std::max(share / kGemvDramBytes * pressure(inFlight), units * unitBytes / kPortBytes) *
      (1 + kSharedSm * (perSm - 1));
  // Few warps leave the latency of their instructions bare.
  const double compute = units * instructions / std::min(kSchedulers, warps) /
                         std::min(kIssueRate, 1.2 * warps / (warps + 8));
  // What the warps compute when their last units have arrived.
  const double tail = 0.5 * warps * instructions / kSchedulers / kIssueRate +
                      kStepLatency * plan.warpSteps * (1 + plan.warpNTiles);
  const double fill = s.xVector == 2
                          ? kGatherLatency + kGatherElement * double(d.k) / s.splitK / s.warps *
                                                 std::min<double>(s.tileM, tokensOf(d))
                          : perSm * s.kWarps * double(plan.activationBytes) / kSharedLineBytes;
  const double outputs = double(s.tileN) * std::min<double>(s.tileM, tokensOf(d));
  const double meet = s.splitK > 1 ? kMeetRound + kMeetPerOutput * outputs * s.splitK : 0;
  const double reduceItem = outputs * s.kWarps / 8 / s.reduceWarps() + meet;
  return kFixed + std::max({stream, compute, rounds * reduceItem}) + fill +
         kDeepRing * std::max(0, s.stages - 3) + tail + reduceItem +
         (s.splitK > 1 ? kCluster + kMember * s.splitK : 0);
}

/// Warp instructions of a unit of a gemv warp that has rows of its own.
double rowsInstructions(const Descriptor &d, const TilePlan &plan) {
  constexpr double kUnit = 19.2;   // wait, copies and addresses
  constexpr double kLoadX = 0.773; // of a step and m8 tile; shared memory is busy, too
  const double chunks = double(plan.warpSteps) / plan.flushSteps;
  return kUnit +
         plan.warpSteps * (plan.warpNTiles * (dequantInstructions(d.bits) + plan.warpMTiles) +
                           kLoadX * plan.warpMTiles + 0.5) +
         chunks * plan.warpNTiles * (6 + 5 * plan.warpMTiles);
}

/// As gemvCycles, for warps along rows; fitted to the choices at 275 points once more.
double gemvRowsCycles(const Descriptor &d, const Target &t, const Schedule &s) {
  constexpr double kFixed = 2330;         // launch, first bytes
  constexpr double kRowsDramBytes = 27.8; // per cycle and SM, when all SMs stream
  constexpr double kPortBytes = 45.1;     // per cycle into an SM
  constexpr double kFillBytes = 44.5;     // per cycle and SM, of X
  constexpr double kExposed = 0.435;      // of the shorter of streaming and computing
  constexpr double kSchedulers = 4, kIssueRate = 0.588;
  constexpr double kProduct = 2;    // cycles of an SM's tensor cores for an m16n8k16
  constexpr double kUnitWait = 720; // latencies of a unit of one warp, besides its instructions
  constexpr double kAlone = 1.02;   // of the instructions, of a warp that others do not delay
  constexpr double kItem = 173;
  constexpr double kExchange = 798;                  // from the last sums to Y
  constexpr double kCluster = 938, kMember = 203;    // its launch and barrier; for each block
  constexpr double kThin = 0.761, kThinWarps = 11.5; // longer with fewer warps of an SM
  constexpr double kManyFragments = 1.35;            // from 24 tokens on the estimate is too low
  constexpr double kGatherLatency = 4500, kGatherElement = 10; // as gemv's; cycles of a warp
  const TilePlan plan = TilePlan::of(d, s);
  const double sms = t.plannedSmCount();
  const double items = double(plan.items(s)) * std::ceil(tokensOf(d) / s.tileM);
  const double clusters = std::min(residentClusters(t, s.splitK, blocksPerSm(t, s, plan)),
                                   std::ceil(items / s.nWarps()));
  const double perSm = std::ceil(clusters * s.splitK / sms), walkers = clusters * s.nWarps();
  const double rounds = std::ceil(items / walkers), most = std::ceil(items / clusters);
  const double slice = std::ceil(double(plan.kTiles) / s.splitK); // units of a block and item
  const double unitBytes = double(plan.weightBytes + plan.scaleBytes);
  const double instructions = rowsInstructions(d, plan);
  const double x = perSm * s.kWarps * double(plan.activationBytes);
  const double inFlight = perSm * s.warps * (s.stages - 1) * double(plan.weightBytes);
  const double units = most * slice * perSm; // of the busiest SM
  const double share = items * double(plan.kTiles) * unitBytes / sms;
  const double stream =
      std::max(share / kRowsDramBytes * pressure(inFlight), (units * unitBytes + x) / kPortBytes);
  const double thin = 1 + kThin * std::max(0.0, 1 - perSm * s.warps / kThinWarps);
  const double issue = units * instructions / kSchedulers / kIssueRate;
  const double products = units * kProduct * plan.warpSteps * plan.warpNTiles * plan.warpMTiles;
  const double chain = rounds * std::ceil(slice / s.kWarps) * (kAlone * instructions + kUnitWait);
  const double compute = std::max({issue, products, chain});
  const double fill = s.xVector == 2
                          ? kGatherLatency + kGatherElement * double(d.k) / s.splitK / s.warps *
                                                 std::min<double>(s.tileM, tokensOf(d))
                          : x / kFillBytes;
  const double cycles = kFixed + thin * std::max(stream, compute) +
                        kExposed * std::min(stream, compute) + fill + rounds * kItem +
                        (s.splitK * s.kWarps > 1 ? kExchange : 0) +
                        (s.splitK > 1 ? kCluster + kMember * s.splitK : 0);
  return cycles * (plan.warpMTiles >= 3 ? kManyFragments : 1);
}

double simtCycles(const Descriptor &d, const Target &t, const Schedule &s) {
  const double outputs = double(TilePlan::of(d, s).layout.paddedN) * tokensOf(d);
  const double threads = double(t.plannedSmCount()) * 512;
  return kLaunchCycles +
         std::ceil(outputs / s.tileM / threads) * double(d.k) * s.tileM * kSimtCyclesPerTerm;
}

/// Of the kernel in front that permutes X; measured on an H200.
double permuteCycles(const Descriptor &d, const Target &t, const Schedule &s) {
  constexpr double kLaunch = 3000;
  constexpr double kBehindRing = 800; // X waits for all weights of a ring of more than two slots
  if (!permutesX(d, s))
    return 0;
  const bool waits =
      t.hasProgrammaticLaunch() && s.family == Family::Gemv && !s.alongRows() && s.stages > 2;
  return kLaunch + (waits ? kBehindRing : 0) +
         tokensOf(d) * double(d.k) * 4 / (t.plannedSmCount() * kDramBytesPerCycle);
}

} // namespace

double CostModel::cycles(const Descriptor &d, const Target &t, const Schedule &s) {
  switch (s.family) {
  case Family::Gemv:
    return (s.alongRows() ? gemvRowsCycles(d, t, s) : gemvCycles(d, t, s)) + permuteCycles(d, t, s);
  case Family::Mma:
    return mmaCycles(d, t, s) + permuteCycles(d, t, s);
  case Family::Wgmma:
    return wgmmaCycles(d, t, s, tokensOf(d)) + permuteCycles(d, t, s);
  default:
    return simtCycles(d, t, s);
  }
}

Result<Schedule> CostModel::choose(const Descriptor &d, const Target &t) {
  GPTQC_TRY(d.validate());
  const std::vector<Schedule> candidates = ScheduleSpace::enumerate(d, t);
  Schedule best = candidates.front();
  double bestCycles = cycles(d, t, best);
  for (const Schedule &candidate : candidates) {
    const double estimate = cycles(d, t, candidate);
    if (estimate < bestCycles && (candidate.family != Family::Simt)) {
      best = candidate;
      bestCycles = estimate;
    }
  }
  return best;
}

} // namespace gptqc
