// State of the mutant switch.
#include "tests/sim/Mutants.h"

#include <cstddef>

namespace gptqc::sim {

namespace {
int active = -1;
std::vector<char> changing; ///< by mutant
} // namespace

bool mutantActive(int id, bool differs) {
  if (differs && active < 0) {
    if (changing.size() <= size_t(id))
      changing.resize(size_t(id) + 1);
    changing[size_t(id)] = 1;
  }
  return active == id;
}

void activateMutant(int id) { active = id; }

std::vector<int> recordMutants() {
  std::vector<int> found;
  for (size_t id = 0; id < changing.size(); ++id)
    if (changing[id])
      found.push_back(int(id));
  changing.clear();
  return found;
}

} // namespace gptqc::sim
