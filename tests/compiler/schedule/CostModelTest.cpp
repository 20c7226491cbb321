// The cost model's choices: legal, deterministic, and sane where the right answer is known.
#include "compiler/schedule/CostModel.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

Schedule choose(const std::string &descriptor, const std::string &target) {
  Result<Schedule> s = CostModel::choose(*Descriptor::parse(descriptor), *Target::parse(target));
  EXPECT_TRUE(s.ok()) << s.status().message();
  return *s;
}

TEST(CostModel, ChoosesLegalSchedulesForEveryBucket) {
  for (const char *target : {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"})
    for (const MRange &m : allBuckets()) {
      Descriptor d = *Descriptor::parse("w4 g128 sym f16->f16 n4096 k4096 m1..1");
      d.m = m;
      const Target t = *Target::parse(target);
      Result<Schedule> s = CostModel::choose(d, t);
      ASSERT_TRUE(s.ok()) << s.status().message();
      EXPECT_TRUE(ScheduleSpace::check(d, t, *s).ok()) << s->print();
      const Family many = t.hasWgmma() ? Family::Wgmma : Family::Mma;
      const bool few = m.hi <= 2 && t.hasCpAsync();
      if (few || m.lo > 32) {
        EXPECT_EQ(s->family, few ? Family::Gemv : many) << d.print() << " | " << target;
      }
      EXPECT_EQ(*CostModel::choose(d, t), *s);
    }
}

TEST(CostModel, SimtOnlyWhereMmaCannot) {
  EXPECT_EQ(choose("w4 g128 sym bf16->bf16 n4096 k4096 m1..1", "sm_75").family, Family::Simt);
  EXPECT_EQ(choose("w4 g128 sym bf16->bf16 n4096 k4096 m1..1", "sm_80").family, Family::Gemv);
  EXPECT_EQ(choose("w4 g128 sym bf16->bf16 n4096 k4096 m33..64", "sm_80").family, Family::Mma);
}

TEST(CostModel, TokenTileFollowsM) {
  EXPECT_EQ(choose("w4 g128 sym f16->f16 n4096 k4096 m1..1", "sm_90a h200 sms132").tileM, 8);
  EXPECT_EQ(choose("w4 g128 sym f16->f16 n4096 k4096 m9..16", "sm_90a h200 sms132").tileM, 16);
  EXPECT_GE(choose("w4 g128 sym f16->f16 n4096 k4096 m4097..8192", "sm_90a h200 sms132").tileM, 32);
}

TEST(CostModel, TilesOfExpertsFollowTheirRows) {
  const auto tileOf = [](const char *experts, const char *m) {
    return choose(fmt::format("w4 g128 sym f16->f16 n2048 k768 {} {}", experts, m),
                  "sm_90a h200 sms132")
        .tileM;
  };
  EXPECT_EQ(tileOf("experts128", "m5..8"), 8) << "a row for an expert";
  EXPECT_LE(tileOf("experts128", "m513..1024"), 16) << "eight rows for an expert";
  EXPECT_GE(tileOf("experts128", "m4097..8192"), 32);
  EXPECT_EQ(tileOf("experts8", "m5..8"), 8);
  EXPECT_GE(tileOf("experts8", "m513..1024"), 32);
}

TEST(CostModel, FewRowsAreSplitAlongK) {
  // One row tile on 132 multiprocessors: without a split, one of them would read everything.
  EXPECT_GT(choose("w4 g128 sym f16->f16 n64 k16384 m33..64", "sm_90a h200 sms132").splitK, 1);
  // Hundreds of row tiles and tokens: a split only adds traffic.
  EXPECT_EQ(choose("w4 g128 sym f16->f16 n8192 k8192 m2049..4096", "sm_90a h200 sms132").splitK, 1);
}

TEST(CostModel, BatchInvariantKeepsOneOrderOfSummation) {
  for (const char *m : {"m1..1", "m33..64", "m4097..8192"}) {
    const Schedule s =
        choose(fmt::format("w4 g128 sym f16->f16 n4096 k4096 {} batch_invariant", m), "sm_90a");
    EXPECT_EQ(s.splitK, 1);
    EXPECT_EQ(s.kWarps, 1);
  }
}

} // namespace
} // namespace gptqc
