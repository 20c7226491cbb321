// The model's judgement on made-up records: what counts, what stands in, what the page says.
#include "autotune/ModelCheck.h"

#include "tests/autotune/MadeUpRecords.h"

namespace gptqc {
namespace {

const Descriptor kPoint = *Descriptor::parse("w4 g128 sym f16->f16 n4096 k4096 m1..1");
constexpr const char *kOtherSchedule = "mma t64x8x256 warps4 kwarps4 stages3";
constexpr const char *kWorse = "simt t128x4x16 warps4 stages1";

TEST(ModelCheck, TheChoicesOwnTimeCountsTheLastOfSeveral) {
  const Records records =
      parse(line(kPoint, choiceOf(kPoint), 20) + line(kPoint, kOtherSchedule, 5) +
            line(kPoint, choiceOf(kPoint), 6, "b"));
  const std::vector<MeasuredPoint> points = measuredPoints(records);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].tried.size(), 2u);
  const ModelVerdict verdict = judgeModel(points[0]);
  EXPECT_TRUE(verdict.measured);
  EXPECT_DOUBLE_EQ(verdict.ratio, 1.2);
}

TEST(ModelCheck, TheModelsFavoriteStandsInForAChoiceThatWasNotMeasured) {
  const Records records = parse(line(kPoint, kWorse, 4) + line(kPoint, kOtherSchedule, 5));
  const std::vector<MeasuredPoint> points = measuredPoints(records);
  const ModelVerdict verdict = judgeModel(points[0]);
  EXPECT_FALSE(verdict.measured);
  ASSERT_NE(verdict.record, nullptr);
  EXPECT_EQ(verdict.record->schedule.print(), kOtherSchedule);
  EXPECT_DOUBLE_EQ(verdict.ratio, 1.25);
}

TEST(ModelCheck, StaleSchedulesDoNotStandIn) {
  const Records records = parse(line(kPoint, "mma t1x1x1 warps4 stages9", 4));
  const std::vector<MeasuredPoint> points = measuredPoints(records);
  EXPECT_EQ(judgeModel(points[0]).record, nullptr);
  EXPECT_NE(checkModel(records).text.find("no point can be judged"), std::string::npos);
}

TEST(ModelCheck, SaysTheShareAndTheWorst) {
  Descriptor second = kPoint;
  second.m = {2, 2};
  const ModelReport report =
      checkModel(parse(line(kPoint, choiceOf(kPoint), 5.4) + line(kPoint, kOtherSchedule, 5) +
                       line(second, choiceOf(second), 6) + line(second, kOtherSchedule, 5)));
  EXPECT_DOUBLE_EQ(report.share, 0.5);
  EXPECT_NE(report.text.find("1 of 2 points (50.0 %) are within 10 % of the best measured, 0 "
                             "defaults were not measured; the worst, 1.20 x: " +
                             second.print()),
            std::string::npos)
      << report.text;
  EXPECT_NE(report.text.find(", best: " + std::string(kOtherSchedule)), std::string::npos)
      << report.text;
}

} // namespace
} // namespace gptqc
