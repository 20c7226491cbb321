// Runs every simulated kernel on its token counts, on all kinds of inputs, in both orders of the
// threads.
#include <chrono>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/CaseTable.h"

namespace gptqc::sim {
namespace {

struct Totals {
  uint64_t runs = 0, threads = 0, accesses = 0, operations = 0, copies = 0;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};
Totals totals;

class SimTest : public testing::TestWithParam<size_t> {
public:
  static void TearDownTestSuite() {
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - totals.start;
    fmt::print("sim: {} kernels, {} runs, {} threads, {} checked accesses, {} collectives and "
               "barrier arrivals, {} asynchronous copies, {:.1f} s\n",
               caseTable().size(), totals.runs, totals.threads, totals.accesses, totals.operations,
               totals.copies, time.count());
  }
};

TEST_P(SimTest, MatchesTheReference) {
  const Case &entry = caseTable()[GetParam()];
  for (int64_t m : entry.tokens)
    for (size_t kind = 0; kind < std::size(kAllInputs); ++kind) {
      // The kind of inputs and the order follow from the seed.
      const uint64_t seed = (GetParam() * 8 + uint64_t(m)) * 4 + kind;
      const Report report = runCase(entry.kernels, entry.launch, entry.descriptor, m, seed);
      EXPECT_TRUE(report.clean()) << entry.line(m, seed) << "\n" << report.text();
      ++totals.runs;
      totals.threads += report.counters.threads;
      totals.accesses += report.counters.accesses;
      totals.operations += report.counters.collectives + report.counters.barriers;
      totals.copies += report.counters.copies;
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, SimTest, testing::Range<size_t>(0, caseTable().size()));

TEST(SimCases, AreThere) { EXPECT_GE(caseTable().size(), 100u); }

} // namespace
} // namespace gptqc::sim
