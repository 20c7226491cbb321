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

/// What became of a mutant while recording: its place was not executed, or has a type that cannot
/// be changed in this way; it would not have changed anything; it would have.
enum class Reach : char { Never, Same, Changing };

/// Starts recording; returns what was recorded until then, by mutant.
std::vector<Reach> recordMutants();

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MUTANTS_H
