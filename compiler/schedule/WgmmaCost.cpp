// Rounds of items of warpgroups that dequantize, multiply and wait, and what begins and ends them.
#include "compiler/schedule/WgmmaCost.h"

#include <algorithm>
#include <cmath>

#include "compiler/schedule/TilePlan.h"

namespace gptqc {

namespace {

/// What 64 rows x 64 columns of k take of an SM beside their products: dequantizing, and what
/// comes with each round.
double wgmmaDequantize(const Descriptor &d, const Schedule &s, const TilePlan &plan) {
  constexpr double kOneWait = 5, kScaling = 16; // of 64 columns of k
  const double round = 240.0 / plan.warpSteps - (s.tileM < 128 ? kOneWait : 0);
  // Rounds of one group wait for its products before the next one starts, and two fragments gain
  // little.
  const bool gains = plan.scalesSums && plan.warpNTiles == 1 && plan.warpSteps > plan.groupSteps;
  const double scaling = gains ? 2.0 * s.tileM / plan.groupSteps - kScaling : 0;
  const double scales = d.scales == d.act || plan.scalesSums ? 1.0
                        : d.act == DType::BF16               ? 1.3
                                                             : 1.6;
  return (95 * (0.8 + 0.05 * d.bits + (d.sym ? 0 : 0.1)) + round + scaling) * scales;
}

/// How the kernel shares the items: rounds in which all warpgroups along the rows have work, and
/// how many of a block have some in the last one (0: there is none).
struct WgmmaRounds {
  double whole = 0, last = 0;
};
WgmmaRounds wgmmaRounds(const Schedule &s, double items, double clusters, double tokenBlocks) {
  if (s.splitK * s.kWarps > 1)
    return {std::ceil(items / clusters), 0};
  const int warpgroups = s.warps / 4;
  const double groups = warpgroups, whole = std::floor(items / clusters);
  double last = std::ceil((items - whole * clusters) * groups / clusters);
  while (tokenBlocks > 1 && last > 0 && std::fmod(groups, last) != 0)
    ++last;
  return {whole, last};
}

} // namespace

double wgmmaCycles(const Descriptor &d, const Target &t, const Schedule &s, double tokens) {
  constexpr double kFixed = 3230;   // launch, first bytes of X
  constexpr double kPortBytes = 48; // per cycle into an SM, whoever loads
  // Of every 32 bytes from L2: they delay others, and take power from the tensor cores.
  constexpr double kDisturb = 0.1;
  constexpr double kShallow = 20; // for each slot of X that a warpgroup has less than so many
  constexpr double kDeep = 8;
  constexpr double kWrap = 15;      // of each block, where the ring may wrap within a round
  constexpr double kChain = 340;    // of a warpgroup, less its products
  constexpr double kMulticast = 30; // of a block's slot of X, to be free in all blocks
  constexpr double kItem = 1275, kOutputs = 8;
  constexpr double kExchange = 200, kRefill = 4900;
  const TilePlan plan = TilePlan::of(d, s);
  const int cluster = s.splitK * s.multicast, shares = s.splitK * s.kWarps;
  const bool exchanges = shares > 1;
  const double tokenBlocks = std::ceil(tokens / s.tileM);
  const double items = std::ceil(double(plan.layout.paddedN) / s.tileN / s.multicast) * tokenBlocks;
  // Pairs fit everywhere; larger clusters leave SMs of a cluster's neighborhood over.
  const double clusters = std::floor(t.plannedSmCount() * (cluster > 2 ? 0.91 : 1.0) / cluster);
  const WgmmaRounds rounds = wgmmaRounds(s, items, clusters, tokenBlocks);
  const double blocks = std::ceil(double(plan.kTiles) / s.splitK) * s.tileK / 64;
  const double fragment = std::max(2.35 * s.tileM, wgmmaDequantize(d, s, plan) + 1.9 * s.tileM);
  const double weights = 64.0 * 8 * d.bits * plan.warpNTiles, x = double(plan.activationBytes);
  const double shallow = kShallow * std::max(0.0, kDeep - double(s.stages) / s.kWarps) *
                             std::min(1.0, 128.0 / s.tileM) +
                         (s.stages * 64 % s.tileK == 0 ? 0 : kWrap);
  // A 64-column block of so many warpgroups; those along k take theirs side by side.
  const auto block = [&](double groups) {
    const double rows = groups / s.kWarps;
    const double chain = kChain + 2.0 * s.tileM + (plan.warpNTiles - 1) * fragment;
    return std::max({fragment * plan.warpNTiles * rows, chain / s.kWarps,
                     (weights * rows + x) / kPortBytes}) +
           kDisturb * (weights * rows + x / s.multicast) / 32 + shallow +
           kMulticast * (s.multicast - 1);
  };
  const double outputs = double(s.tileN) * s.tileM;
  const double exchange =
      exchanges ? kExchange * shares + outputs / 8 * std::max(1.0, shares / 2.0) : 0;
  const double ends = kItem + outputs / kOutputs + exchange;
  const double refill = exchanges ? (rounds.whole - 1) * kRefill : 0; // blocks of one item each
  const int warpgroups = s.warps / 4;
  const double all = rounds.whole * (blocks * block(warpgroups) + ends);
  const double rest = rounds.last > 0 ? blocks * block(rounds.last) + ends : 0;
  return kFixed + (cluster - 1) * 900 + refill + all + rest;
}

} // namespace gptqc
