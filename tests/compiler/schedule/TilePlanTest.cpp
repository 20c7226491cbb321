// The numbers of a tile against hand-computed ones.
#include "compiler/schedule/TilePlan.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TilePlan plan(const char *descriptor, const char *schedule) {
  return TilePlan::of(*Descriptor::parse(descriptor), *Schedule::parse(schedule));
}

TEST(TilePlan, PlainFourBit) {
  const TilePlan p = plan("w4 g128 sym f16->f16 n4096 k4096 m9..16",
                          "mma t64x16x128 warps4 kwarps2 stages4 splitk2");
  EXPECT_EQ(p.groupSteps, 8);
  EXPECT_EQ(p.kTiles, 32);
  EXPECT_EQ(p.warpNTiles, 2);
  EXPECT_EQ(p.warpMTiles, 2);
  EXPECT_EQ(p.warpSteps, 4);
  EXPECT_EQ(p.flushSteps, 4);
  EXPECT_EQ(p.scaleRows, 1);
  EXPECT_FALSE(p.scaleFragments);
  EXPECT_EQ(p.weightBytes, 4096);
  EXPECT_EQ(p.scaleBytes, 128);
  EXPECT_EQ(p.activationBytes, 4096);
  EXPECT_EQ(p.sumsBytes, 2 * 16 * 68 * 4);
  EXPECT_EQ(p.sharedBytes, 16384 + 512 + 16384);
}

TEST(TilePlan, FlushStaysInsideAGroup) {
  const char *schedule = "mma t64x8x256 warps4 stages2";
  EXPECT_EQ(plan("w4 g128 sym f16->f16 n64 k4096 m1..1", schedule).flushSteps, 8);
  EXPECT_EQ(plan("w4 g32 sym f16->f16 n64 k4096 m1..1", schedule).flushSteps, 2);
  EXPECT_EQ(plan("w4 g48 sym f16->f16 n64 k4096 m1..1", schedule).flushSteps, 1);
  EXPECT_EQ(plan("w4 g20 sym f16->f16 n64 k4096 m1..1", schedule).flushSteps, 2);
}

TEST(TilePlan, GemvWithWarpsAlongRows) {
  const TilePlan p = plan("w4 g128 sym f16->f16 n4096 k4096 m9..16",
                          "gemv t128x16x128 warps8 kwarps2 stages6 splitk4");
  EXPECT_EQ(p.warpNTiles, 2);
  EXPECT_EQ(p.warpMTiles, 2);
  EXPECT_EQ(p.flushSteps, 8);
  EXPECT_EQ(p.weightBytes, 2048); // of a warp
  EXPECT_EQ(p.scaleBytes, 64);
  EXPECT_EQ(p.slotBytes, 2176);                      // 17 lines
  EXPECT_EQ(p.activationBytes, 16 * (512 * 2 + 16)); // of a k warp
  // A fragment of each of the 4 rows of warps, from 8 parts of k; 20 barriers.
  EXPECT_EQ(p.splitsBytes, 4 * 8 * 512 + 160);
  EXPECT_EQ(p.sharedBytes, 8 * 6 * 2176 + 2 * 16640 + 16640);
  EXPECT_EQ(p.items(*Schedule::parse("gemv t128x16x128 warps8 kwarps2 stages6 splitk4")), 128);
}

TEST(TilePlan, ScaleRowsOfAStage) {
  const char *schedule = "mma t64x8x128 warps4 stages2"; // 8 steps
  EXPECT_EQ(plan("w4 g-1 sym f16->f16 n64 k4096 m1..1", schedule).scaleRows, 1);
  EXPECT_EQ(plan("w4 g32 sym f16->f16 n64 k4096 m1..1", schedule).scaleRows, 4);
  EXPECT_EQ(plan("w4 g48 sym f16->f16 n64 k4096 m1..1", schedule).scaleRows, 4);
  EXPECT_EQ(plan("w4 g160 asym f16->f16 n64 k4096 m1..1", schedule).scaleRows, 2);
}

TEST(TilePlan, BatchInvariantRoundsTheSameForEveryTile) {
  for (const char *schedule : {"mma t64x8x128 warps4 stages2", "mma t64x64x256 warps4 stages2"}) {
    EXPECT_TRUE(
        plan("w4 g128 sym f16->f16 n64 k4096 m1..1 batch_invariant", schedule).scaleFragments);
    const TilePlan mixed =
        plan("w4 g128 sym f16->f16 scales:bf16 n64 k4096 m1..1 batch_invariant", schedule);
    EXPECT_FALSE(mixed.scaleFragments);
    EXPECT_EQ(mixed.flushSteps, 1);
  }
}

} // namespace
} // namespace gptqc
