// Tables of chains.
#include "cli/bench/ChainReport.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include "runtime/core/AtomicFile.h"

using namespace gptqc;
using namespace gptqc::cli;

namespace {

ChainRow measured() {
  ChainRow row;
  row.m = 16;
  row.blocks = 3;
  for (const char *text : {"w4 g128 sym f16->f16 n4096 k4096 m9..16",
                           "w4 g128 sym f16->f16 n28672 k4096 m9..16 silu_mul"}) {
    ChainLayer layer;
    layer.descriptor = *Descriptor::parse(text);
    layer.schedule = "gemv t32x16x256 warps8 kwarps8 stages4";
    layer.time = {12, 11, 13};
    layer.floor = {10, 10, 10};
    row.layers.push_back(layer);
  }
  row.time = {23, 22.5, 24};
  row.overlapped = Timing{21, 20, 22};
  row.dense = Timing{42, 41, 43};
  return row;
}

} // namespace

TEST(ChainReport, ComparesWithTheSumOfTheFloorsAndWithTheDenseChain) {
  const std::string text = chainText(measured());
  for (const char *part :
       {"m = 16, 3 blocks", "n28672 k4096 m9..16 silu_mul", "1.20  gemv t32x16", "20.00   1.20",
        "20.00   1.15", "22.50..24.00", "20.00   1.05", "42.00", "ours x 0.50"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  EXPECT_DOUBLE_EQ(measured().floor(), 20);
}

TEST(ChainReport, AFailedChainSaysWhy) {
  ChainRow bad = measured();
  bad.error = makeError(Code::CompileFailed, "no luck");
  EXPECT_EQ(chainText(bad), "m = 16: FAILED: no luck\n");
  EXPECT_TRUE(chainVerdict({measured()}).ok());
  const Status verdict = chainVerdict({measured(), bad});
  EXPECT_EQ(verdict.code(), Code::CompileFailed);
  EXPECT_NE(verdict.message().find("m = 16: no luck"), std::string::npos);
}

TEST(ChainReport, WritesHeadAndRows) {
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("gptqc-chain-{}", size_t(::getpid())) / "new";
  const BenchHead head{"NVIDIA H200", "abc123", "nvrtc 13.0", "libcublasLt.so.13", 50, 1};
  ASSERT_TRUE(writeChainFile(folder, "h200-chain", head, {measured()}).ok());
  const auto bytes = readFile(folder / "h200-chain.txt");
  ASSERT_TRUE(bytes.ok());
  const std::string text(bytes->begin(), bytes->end());
  EXPECT_NE(text.find("commit abc123"), std::string::npos);
  EXPECT_NE(text.find(chainText(measured())), std::string::npos);
  std::filesystem::remove_all(folder.parent_path());
  EXPECT_EQ(writeChainFile("/proc/nothing", "x", head, {}).code(), Code::IoError);
}
