// State of the mutant switch.
#include "tests/sim/Mutants.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gptqc::sim {

namespace {
int active = -1;
std::vector<Reach> reached; ///< by mutant
} // namespace

bool mutantActive(int id, bool differs) {
  if (active < 0) {
    if (reached.size() <= size_t(id))
      reached.resize(size_t(id) + 1, Reach::Never);
    Reach &reach = reached[size_t(id)];
    reach = std::max(reach, differs ? Reach::Changing : Reach::Same);
  }
  return active == id;
}

void activateMutant(int id) { active = id; }

std::vector<Reach> recordMutants() { return std::exchange(reached, {}); }

} // namespace gptqc::sim
