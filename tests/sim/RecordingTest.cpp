// The simulator beside a GPU: cases that an H200 ran, on the same inputs.
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/CaseTable.h"
#include "tests/sim/Recording.h"

namespace gptqc::sim {
namespace {

/// The kernel of a recorded line; null when none was emitted for it.
const Case *findCase(const std::string &line) {
  const std::vector<Case> &table = caseTable();
  const auto found = std::find_if(table.begin(), table.end(), [&](const Case &entry) {
    return entry.line(entry.tokens.front(), entry.seed) == line;
  });
  return found == table.end() ? nullptr : &*found;
}

TEST(Recording, AnH200GaveTheSame) {
  const Result<std::vector<RecordedCase>> recording =
      readRecording(GPTQC_SOURCE_DIR "/tests/sim/data/h200.txt");
  ASSERT_TRUE(recording.ok()) << recording.status().message();
  size_t elements = 0, equal = 0;
  double worst = 0;
  for (const RecordedCase &recorded : *recording) {
    const Case *entry = findCase(recorded.line);
    ASSERT_NE(entry, nullptr) << recorded.line;
    Result<CaseRun> run = CaseRun::prepare(entry->kernels, entry->launch, entry->descriptor,
                                           entry->tokens.front(), entry->seed);
    ASSERT_TRUE(run.ok()) << recorded.line << "\n" << run.status().message();
    const Report report = run->run();
    EXPECT_TRUE(report.clean()) << recorded.line << "\n" << report.text();
    const std::vector<uint16_t> y = run->output();
    const Result<Descriptor> d = Descriptor::parse(entry->descriptor);
    const Comparison comparison =
        compareWithRecording(*d, run->exact(), recorded.y, y.data(), d->outputColumns());
    EXPECT_TRUE(comparison.passed()) << recorded.line << "\n" << comparison.explain();
    EXPECT_TRUE(compareOutput(*d, run->exact(), recorded.y.data(), d->outputColumns(), 1).passed())
        << recorded.line;
    elements += y.size();
    for (size_t i = 0; i < std::min(y.size(), recorded.y.size()); ++i)
      equal += y[i] == recorded.y[i];
    worst = std::max(worst, comparison.maxRatio);
  }
  EXPECT_GE(recording->size(), 12u);
  fmt::print("sim: {} cases of an H200, {} of {} results equal in bits, the farthest at {:.2f} of "
             "the tolerance\n",
             recording->size(), equal, elements, worst);
}

} // namespace
} // namespace gptqc::sim
