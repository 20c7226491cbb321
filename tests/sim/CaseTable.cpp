// Storage of the case table.
#include "tests/sim/CaseTable.h"

namespace gptqc::sim {

std::vector<Case> &caseTable() {
  static std::vector<Case> table;
  return table;
}

bool addCase(Case entry) {
  caseTable().push_back(std::move(entry));
  return true;
}

} // namespace gptqc::sim
