// Bench tables and files.
#include "cli/bench/BenchReport.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include "runtime/core/AtomicFile.h"

using namespace gptqc;
using namespace gptqc::cli;

namespace {

BenchRow measured() {
  BenchRow row;
  row.descriptor = *Descriptor::parse("w4 g128 sym f16->f16 n8192 k8192 m1..1");
  row.m = 1;
  row.schedule = "mma t64x8x128 warps4 stages4";
  row.time = {10.0, 9.5, 11.25};
  row.floor = Timing{8.0, 8.0, 8.0};
  row.dense = Timing{40.0, 40.0, 40.0};
  row.limit = 5.0;
  row.peer = PeerTime{row.descriptor, "marlin", 20.0};
  return row;
}

} // namespace

TEST(BenchReport, ARowHoldsTimesRatesAndRatios) {
  const BenchRow row = measured();
  const std::string text = BenchTable{{row.descriptor}}.row(row);
  for (const char *part : {"mma t64x8x128", "10.00", "9.50..11.25", " 3464 ", " 13.4 ",
                           "8.00   1.25", "5.00   2.00", "40.00   0.25", "20.00   0.50  marlin"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

TEST(BenchReport, ColumnsAlignWithTheirTitles) {
  BenchRow row = measured();
  row.dense.reset();
  row.peer.reset();
  const std::string head = BenchTable{{row.descriptor}}.head(),
                    text = BenchTable{{row.descriptor}}.row(row);
  EXPECT_EQ(head.size(), text.size());
  EXPECT_NE(text.find("-      -"), std::string::npos);
}

TEST(BenchReport, TunedRunsShowTheDefaultsToo) {
  BenchRow row = measured();
  row.untuned = Timing{12.5, 12.0, 13.0};
  const BenchTable table{{row.descriptor}, true};
  EXPECT_EQ(table.head().size(), table.row(row).size());
  EXPECT_NE(table.head().find("default us      x    floor us"), std::string::npos);
  EXPECT_NE(table.row(row).find("12.50   0.80        8.00   1.25"), std::string::npos)
      << table.row(row);
}

TEST(BenchReport, AFailedPointSaysWhyAndFailsTheRun) {
  BenchRow bad = measured();
  bad.error = makeError(Code::CompileFailed, "no luck");
  EXPECT_NE(BenchTable{{bad.descriptor}}.row(bad).find("FAILED: no luck"), std::string::npos);
  EXPECT_TRUE(benchVerdict({measured()}).ok());
  const Status verdict = benchVerdict({measured(), bad});
  EXPECT_EQ(verdict.code(), Code::CompileFailed);
  EXPECT_NE(verdict.message().find("1 of 2 points"), std::string::npos);
}

TEST(BenchReport, WritesTextAndPlot) {
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("gptqc-bench-{}", size_t(::getpid())) / "new";
  BenchRow bad = measured();
  bad.error = makeError(Code::Internal, "x");
  const BenchHead head{"NVIDIA H200", "abc123", "nvrtc 13.0", "libcublasLt.so.13", 50, 1};
  ASSERT_TRUE(writeBenchFiles(folder, "h200-x", head, {measured(), bad}, limitsOf("h200")).ok());
  const auto textBytes = readFile(folder / "h200-x.txt"),
             svgBytes = readFile(folder / "h200-x.svg");
  ASSERT_TRUE(textBytes.ok() && svgBytes.ok());
  const std::string text(textBytes->begin(), textBytes->end());
  EXPECT_NE(text.find("commit abc123"), std::string::npos);
  EXPECT_NE(text.find("NVIDIA H200"), std::string::npos);
  EXPECT_NE(text.find("10.00"), std::string::npos);
  const std::string svg(svgBytes->begin(), svgBytes->end());
  EXPECT_NE(svg.find("w4 8192 x 8192"), std::string::npos);
  EXPECT_NE(svg.find("757 TFLOP/s"), std::string::npos);
  std::filesystem::remove_all(folder.parent_path());
}

TEST(BenchReport, AnUnwritableFolderIsNamed) {
  const Status status = writeBenchFiles("/proc/nothing", "x", {}, {measured()}, {});
  EXPECT_EQ(status.code(), Code::IoError);
  EXPECT_NE(status.message().find("/proc/nothing"), std::string::npos);
}
