// The page of tuning records: what it says of each point.
#include "cli/bench/TuneReport.h"

#include <gtest/gtest.h>

#include "compiler/schedule/CostModel.h"

namespace gptqc::cli {
namespace {

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

TEST(TuneReport, SaysWhatWonAndByHowMuch) {
  const Descriptor d = *Descriptor::parse("w4 g128 sym f16->f16 n4096 k4096 m1..1");
  const Target t = *Target::parse("sm_90a h200 sms132");
  const std::string choice = CostModel::choose(d, t)->print();
  const std::string head = d.print() + " | " + t.print() + " | ";
  const std::string text =
      head + choice + " | us=6 spread=0.02 method=cold3 build=a\n" + head +
      "mma t64x8x256 warps4 kwarps4 stages3 | us=9 spread=0 method=x build=a\n" + head +
      "mma t64x8x256 warps4 kwarps4 stages3 | us=4 spread=0 method=x build=b\n";
  const std::string page = tuneReportHtml(*Records::parse(text, "test"));
  EXPECT_TRUE(contains(page, "3 records of 1 points")) << page;
  EXPECT_TRUE(contains(page, "<td class=t><code>mma t64x8x256 warps4 kwarps4 stages3</code></td>"
                             "<td>4.00</td><td>0.0 %</td>"))
      << "the last measurement of a schedule counts";
  EXPECT_TRUE(contains(page, "<td>1.50</td>")) << "default over tuned";
  EXPECT_TRUE(contains(page, "<svg"));
  EXPECT_TRUE(contains(page, "f16-&gt;f16"));
  EXPECT_FALSE(contains(page, "f16->f16 n4096"));
  EXPECT_EQ(page, tuneReportHtml(*Records::parse(text, "test")));
  EXPECT_TRUE(contains(tuneReportHtml(Records()), "0 records of 0 points"));
}

} // namespace
} // namespace gptqc::cli
