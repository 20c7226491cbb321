// On a GPU: the recorded cases once more. With GPTQC_RECORD=FILE what this GPU gives is written
// there, a new data/h200.txt. Skipped without a GPU, except with GPTQC_REQUIRE_GPU set.
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "cli/check/Runner.h"
#include "tests/sim/CaseLine.h"
#include "tests/sim/KernelCase.h"
#include "tests/sim/Recording.h"

namespace gptqc::sim {
namespace {

struct GpuResult {
  std::vector<uint16_t> y;
  Reference exact;
  std::string device;
};

Result<GpuResult> runOnGpu(const CaseLine &line) {
  cli::RunnerOptions options;
  options.kernels.schedule = line.schedule;
  GPTQC_ASSIGN(const std::unique_ptr<cli::Runner> runner, cli::makeCudaRunner(options));
  const int64_t m = line.tokens.front();
  GPTQC_ASSIGN(const CaseInputs inputs, makeInputs(line.descriptor, m, line.seed));
  GPTQC_TRY(runner->prepare(inputs.matrix, line.tokens));
  GpuResult result;
  GPTQC_TRY(runner->run(inputs.x, m, result.y).status());
  GPTQC_ASSIGN(result.exact, runner->reference(inputs.x, m));
  result.device = runner->device();
  return result;
}

TEST(RecordingGpu, IsWhatThisGpuGives) {
  Result<std::vector<RecordedCase>> recording =
      readRecording(GPTQC_SOURCE_DIR "/tests/sim/data/h200.txt");
  ASSERT_TRUE(recording.ok()) << recording.status().message();
  const char *target = std::getenv("GPTQC_RECORD");
  std::string device;
  for (RecordedCase &recorded : *recording) {
    const Result<CaseLine> line = CaseLine::parse(recorded.line);
    ASSERT_TRUE(line.ok()) << line.status().message();
    const Result<GpuResult> result = runOnGpu(*line);
    if (!result && result.status().code() == Code::DeviceError && !std::getenv("GPTQC_REQUIRE_GPU"))
      GTEST_SKIP() << result.status().message();
    ASSERT_TRUE(result.ok()) << recorded.line << ": " << result.status().message();
    device = result->device;
    if (target) {
      recorded.line = line->print();
      recorded.y = result->y;
    }
    const Comparison comparison =
        compareWithRecording(line->descriptor, result->exact, recorded.y, result->y.data(),
                             line->descriptor.outputColumns());
    EXPECT_TRUE(comparison.passed()) << recorded.line << "\n" << comparison.explain();
    EXPECT_TRUE(compareOutput(line->descriptor, result->exact, recorded.y.data(),
                              line->descriptor.outputColumns())
                    .passed())
        << recorded.line;
  }
  if (target) {
    std::ofstream output(target);
    output << printRecording("Y of " + device + ", written by sim_recording_gpu_test", *recording);
    EXPECT_TRUE(output.flush()) << target;
  }
}

} // namespace
} // namespace gptqc::sim
