// Storage of the case table.
#include "tests/sim/CaseTable.h"

#include <fmt/format.h>

namespace gptqc::sim {

std::string Case::line(int64_t m, uint64_t runSeed) const {
  return fmt::format("{} | {} | {} | {} | {}", descriptor, target, schedule, m, runSeed);
}

std::vector<Case> &caseTable() {
  static std::vector<Case> table;
  return table;
}

bool addCase(Case entry) {
  caseTable().push_back(std::move(entry));
  return true;
}

} // namespace gptqc::sim
