// Transfer judged on made-up records: which points count, what is carried, what the page says.
#include "autotune/TransferCheck.h"

#include "tests/autotune/MadeUpRecords.h"

namespace gptqc {
namespace {

const Descriptor kTuned = *Descriptor::parse("w4 g128 sym f16->f16 n4096 k4096 m1..1");
const Descriptor kNew = *Descriptor::parse("w4 g64 sym f16->f16 n4096 k4096 m1..1");
constexpr const char *kCarried = "gemv t16x8x512 warps8 kwarps8 stages2";
constexpr const char *kOther = "mma t64x8x256 warps4 kwarps4 stages3";

TEST(TransferCheck, TheCarriedScheduleBesideTheDefaultAndTheBest) {
  const Records from = parse(line(kTuned, kCarried, 4) + line(kTuned, kOther, 5));
  ASSERT_NE(choiceOf(kNew), kCarried);
  const Records measured = parse(line(kNew, kCarried, 6) + line(kNew, choiceOf(kNew), 8) +
                                 line(kNew, kOther, 5) + line(kTuned, kOther, 5));
  const TransferVerdict verdict = judgeTransfer(measuredPoints(measured)[1], from);
  ASSERT_NE(verdict.source, nullptr);
  EXPECT_EQ(verdict.source->descriptor, kTuned);
  EXPECT_DOUBLE_EQ(verdict.over(verdict.standard), 0.75);
  const ModelReport report = checkTransfer(measured, from);
  EXPECT_EQ(report.share, 0) << "1.2 x the best";
  for (const std::string &says :
       {std::string("1 points: 0 have no record near"), std::string("0 of 1 points"),
        "the worst, 1.20 x: " + kNew.print(), std::string("0.750 of the defaults' time"),
        std::string(
            "w4 g64 sym f16->f16                        0 of 1 within 10 %, the worst 1.20 x"),
        fmt::format("{} of {}\n", kCarried, kTuned.print())})
    EXPECT_NE(report.text.find(says), std::string::npos) << says << " in\n" << report.text;
}

TEST(TransferCheck, PointsWithoutASourceOrATimeAreCounted) {
  const Records from = parse(line(kTuned, kCarried, 4));
  const Descriptor small = *Descriptor::parse("w4 g-1 sym f16->f16 n64 k128 m1..1");
  const ModelReport report =
      checkTransfer(parse(line(kNew, kOther, 5) + line(small, kOther, 3)), from);
  EXPECT_EQ(report.share, 1) << "of none";
  EXPECT_NE(report.text.find("2 points: 1 have no record near, of 2 the schedule was not"),
            std::string::npos)
      << report.text;
}

} // namespace
} // namespace gptqc
