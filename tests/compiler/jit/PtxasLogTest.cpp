// The text that ptxas -v prints, as read by parsePtxasLog.
#include "compiler/jit/PtxasLog.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(PtxasLog, EntriesWithTheirNumbers) {
  const PtxasReport report =
      parsePtxasLog("ptxas info    : 0 bytes gmem\n"
                    "ptxas info    : Compiling entry function 'first' for 'sm_90a'\n"
                    "ptxas info    : Function properties for first\n"
                    "    8 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads\n"
                    "ptxas info    : Used 168 registers, used 1 barriers, 8 bytes cumulative stack "
                    "size, 1024 bytes "
                    "smem, 624 bytes cmem[0]\n"
                    "ptxas info    : Compile time = 5.300 ms\n"
                    "ptxas info    : Compiling entry function 'second' for 'sm_90a'\n"
                    "ptxas info    : Function properties for second\n"
                    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                    "ptxas info    : Used 10 registers, used 0 barriers\n");
  ASSERT_EQ(report.entries.size(), 2u);
  ASSERT_NE(report.find("first"), nullptr);
  EXPECT_EQ(*report.find("first"), (ResourceUsage{168, 12, 20, 8, 1024}));
  EXPECT_EQ(*report.find("second"), (ResourceUsage{10, 0, 0, 0, 0}));
  EXPECT_EQ(report.find("third"), nullptr);
  EXPECT_TRUE(report.performanceWarnings.empty());
  EXPECT_TRUE(report.firstError.empty());
}

TEST(PtxasLog, FunctionsThatAreCalledDoNotHideTheEntry) {
  const PtxasReport report =
      parsePtxasLog("ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
                    "ptxas info    : Function properties for k\n"
                    "    16 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads\n"
                    "ptxas info    : Used 32 registers, 360 bytes cmem[0]\n"
                    "ptxas info    : Function properties for helper\n"
                    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n");
  ASSERT_NE(report.find("k"), nullptr);
  EXPECT_EQ(*report.find("k"), (ResourceUsage{32, 4, 4, 16, 0}));
}

TEST(PtxasLog, PerformanceWarningsAndErrors) {
  const PtxasReport report =
      parsePtxasLog("ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async "
                    "instructions are serialized "
                    "due to insufficient register resources in function 'k'\n"
                    "ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored\n"
                    "a.cu(3): error: identifier \"x\" is undefined\n"
                    "1 error detected\n");
  ASSERT_EQ(report.performanceWarnings.size(), 2u);
  EXPECT_NE(report.performanceWarnings[0].find("C7510"), std::string::npos);
  EXPECT_EQ(report.firstError, "a.cu(3): error: identifier \"x\" is undefined");
}

} // namespace
} // namespace gptqc
