// Access sites: which source line a load or store comes from, and how well a warp's requests of a
// site fit the memory: bank conflicts in shared memory, sectors in global memory.
#ifndef GPTQC_TESTS_SIM_SITES_H
#define GPTQC_TESTS_SIM_SITES_H

#include <cstddef>
#include <string>

#include "tests/sim/State.h"

namespace gptqc::sim {

/// "fragment.cuh:34 (load_activations)": the innermost place outside of ptx/ that a code address
/// was compiled from; empty without debug information or addr2line.
std::string describeSite(const void *site);

/// Counts requests from now on (slow), until sitesReport.
void sitesStart();
bool sitesEnabled();
/// One lane's part of a request: the n-th execution of a site by the lanes of a warp is a request.
void sitesRecord(const Thread &thread, const void *address, size_t bytes, bool isShared,
                 bool isWrite, const void *site);
/// Closes the requests that not all lanes took part in.
void sitesEndCluster();
/// The table, a line for each site, ordered by its waste; README.md explains the columns.
std::string sitesReport();

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_SITES_H
