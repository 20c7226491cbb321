// The switch of mutation testing: kernels that mutate.py has rewritten ask it at every site which
// of their mutants is active. README.md describes the proof.
#ifndef GPTQC_TESTS_SIM_MUTANTS_H
#define GPTQC_TESTS_SIM_MUTANTS_H

#include <vector>

namespace gptqc::sim {

/// True when mutant `id` is active. `differs` tells whether it would change anything here: noted
/// while recording.
bool mutantActive(int id, bool differs);

/// Activates one mutant, or none (-1).
void activateMutant(int id);

/// Starts recording; returns what was recorded until then: the mutants that would have changed a
/// value or left out a statement.
std::vector<int> recordMutants();

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MUTANTS_H
