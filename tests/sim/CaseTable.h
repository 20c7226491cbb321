// The simulated kernels of this binary, filled by the generated sources at start-up.
#ifndef GPTQC_TESTS_SIM_CASETABLE_H
#define GPTQC_TESTS_SIM_CASETABLE_H

#include <string>
#include <vector>

#include "tests/sim/KernelCase.h"

namespace gptqc::sim {

struct Case {
  std::string descriptor, target, schedule;
  KernelEntries kernels;
  LaunchFacts launch;
  std::vector<int64_t> tokens;
  uint64_t seed = 0; ///< 0: run with several

  /// The case line that repeats one run.
  std::string line(int64_t m, uint64_t runSeed) const;
};

std::vector<Case> &caseTable();

/// Returns true; for the initializer of a namespace-scope constant.
bool addCase(Case entry);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_CASETABLE_H
