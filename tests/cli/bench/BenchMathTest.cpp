// Limits against the published table, statistics, and how much is measured.
#include "cli/bench/BenchMath.h"

#include <gtest/gtest.h>

using namespace gptqc;
using namespace gptqc::cli;

namespace {

Descriptor parse(const char *text) { return *Descriptor::parse(text); }

} // namespace

TEST(BenchMath, BytesOfAProblem) {
  // 4096 x 4096 / 2 codes + 32 groups of 4096 scales + X and Y.
  EXPECT_EQ(problemBytes(parse("w4 g128 sym f16->f16 n4096 k4096 m1.."), 1),
            8388608 + 32 * 4096 * 2 + 2 * 4096 * 2);
  EXPECT_EQ(problemBytes(parse("w3 g128 asym actorder f16->f16 n8 k256 m1.. bias"), 2),
            8 * 256 * 3 / 8 + 2 * 8 * 3 + 256 * 4 + 8 * 2 + 2 * (256 + 8) * 2);
  EXPECT_EQ(problemBytes(parse("w8 g-1 sym f16->f16 n8 k16 m1.. silu_mul"), 4),
            8 * 16 + 8 * 2 + 4 * (16 + 4) * 2);
}

TEST(BenchMath, BytesOfTheExpertsThatHaveRows) {
  const Descriptor one = parse("w4 g128 sym f16->f16 n768 k2048 m1..");
  const Descriptor many = parse("w4 g128 sym f16->f16 n768 k2048 experts128 m1..");
  const int64_t rows = (768 + 2048) * 2, expert = problemBytes(one, 1) - rows;
  EXPECT_EQ(problemBytes(many, 8), 8 * (expert + rows)) << "the experts of one token differ";
  EXPECT_EQ(problemBytes(many, 16384), 128 * expert + 16384 * rows);
  EXPECT_TRUE(benchOffsets(one, 8).empty());
  EXPECT_EQ(benchOffsets(many, 8).back(), 8);
}

TEST(BenchMath, LimitIsLaunchPlusTheSlowerOfReadAndCompute) {
  const MachineLimits h200 = *limitsOf("h200");
  // 8192 x 8192: 1.5 us + 45.4 us of tensor-core work at M = 256, of reading at M = 1.
  EXPECT_NEAR(limitMicroseconds(h200, parse("w4 g128 sym f16->f16 n8192 k8192 m1.."), 256), 46.9,
              0.1);
  EXPECT_NEAR(limitMicroseconds(h200, parse("w4 g128 sym f16->f16 n8192 k8192 m1.."), 1), 8.95,
              0.05);
  EXPECT_FALSE(limitsOf("unheard-of").has_value());
}

TEST(BenchMath, MedianAndPercentiles) {
  const Timing timing = summarize({5, 1, 4, 2, 3});
  EXPECT_DOUBLE_EQ(timing.median, 3);
  EXPECT_DOUBLE_EQ(timing.p10, 1.4);
  EXPECT_DOUBLE_EQ(timing.p90, 4.6);
  EXPECT_DOUBLE_EQ(summarize({7}).p90, 7);
  EXPECT_DOUBLE_EQ(summarize({1, 2}).median, 1.5);
}

TEST(BenchMath, ReplaysFillTheBudget) {
  for (double time : {2.0, 10.0, 300.0, 2500.0}) {
    const ReplayPlan plan = planReplays(time, 50, 3);
    EXPECT_GE(plan.replays, 5);
    EXPECT_LE(plan.replays, 25);
    EXPECT_NEAR(plan.launches * plan.replays * time, 50000, 10000) << time;
  }
  EXPECT_GE(planReplays(1000, 50, 40).launches, 40); // every copy is used
  EXPECT_EQ(planReplays(1e6, 50, 1).replays, 5);
  EXPECT_LE(planReplays(0.5, 1e5, 1).launches, 4096);
}

TEST(BenchMath, CopiesExceedFourTimesTheCache) {
  const int64_t l2 = 62'900'000;
  for (int64_t bytes : {8'700'000LL, 34'600'000LL, 125'800'000LL, 242'000'000LL}) {
    const int copies = rotationCopies(bytes, l2);
    EXPECT_GT(copies * bytes, 4 * l2);
    EXPECT_LE((copies - 1) * bytes, 4 * l2);
  }
  EXPECT_EQ(rotationCopies(1'000'000'000, l2), 1);
  EXPECT_EQ(rotationCopies(10, l2), 512);
}

TEST(BenchMath, TokensAreTheUpperEndOfTheRangeUnlessAskedFor) {
  const Descriptor d = parse("w4 g-1 sym f16->f16 n8 k8 m9..16");
  EXPECT_EQ(benchTokens(d, {}), (std::vector<int64_t>{16}));
  EXPECT_EQ(benchTokens(d, {1, 9, 12, 17}), (std::vector<int64_t>{9, 12}));
  EXPECT_EQ(benchTokens(parse("w4 g-1 sym f16->f16 n8 k8 m3.."), {}), (std::vector<int64_t>{3}));
}
