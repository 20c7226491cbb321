// Runs every simulated kernel on its token counts and on all kinds of inputs.
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/CaseTable.h"

namespace gptqc::sim {
namespace {

struct Totals {
  uint64_t runs = 0, threads = 0, accesses = 0, collectives = 0;
};
Totals totals;

class SimTest : public testing::TestWithParam<size_t> {
public:
  static void TearDownTestSuite() {
    fmt::print("sim: {} kernels, {} runs, {} threads, {} checked accesses, {} warp operations\n",
               caseTable().size(), totals.runs, totals.threads, totals.accesses,
               totals.collectives);
  }
};

TEST_P(SimTest, MatchesTheReference) {
  const Case &entry = caseTable()[GetParam()];
  uint64_t seed = GetParam() * 100 + 1;
  for (int64_t m : entry.tokens)
    for (Inputs inputs : kAllInputs) {
      const Report report =
          runCase(entry.kernel, entry.launch, entry.descriptor, m, inputs, ++seed);
      EXPECT_TRUE(report.clean()) << entry.descriptor << " | " << entry.target << " | "
                                  << entry.schedule << " m " << m << " " << inputsName(inputs)
                                  << " seed " << seed << "\n"
                                  << report.text();
      ++totals.runs;
      totals.threads += report.counters.threads;
      totals.accesses += report.counters.accesses;
      totals.collectives += report.counters.collectives;
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, SimTest, testing::Range<size_t>(0, caseTable().size()));

TEST(SimCases, AreThere) { EXPECT_GE(caseTable().size(), 30u); }

} // namespace
} // namespace gptqc::sim
