// Runs every mutant of the loaded kernels, each in a process of its own, and says which survive.
#ifndef GPTQC_TESTS_SIM_MUTATIONRUN_H
#define GPTQC_TESTS_SIM_MUTATIONRUN_H

#include <cstdint>
#include <string>

#include "runtime/core/Status.h"

namespace gptqc::sim {

struct MutationOptions {
  std::string table; ///< mutants.txt of mutate.py
  std::string known; ///< file of explained mutants; empty: none
  /// File of outcomes: those that it has are not run again, new ones are appended. It belongs to
  /// one table and its kernels. Empty: none.
  std::string state;
  std::string filter; ///< only mutants whose place and text contain this
  size_t sample = 0;  ///< so many, drawn with `seed`; 0: all
  uint64_t seed = 1;
  int jobs = 2;
};

/// Prints what survived and the rate. An error when a kernel fails without a mutant, or a mutant
/// survives that `known` does not explain.
Status runMutants(const MutationOptions &options);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MUTATIONRUN_H
