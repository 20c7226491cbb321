// PackJobs: which kernels a pack holds for some layers, and the file of them.
#ifndef GPTQC_CLI_JOBS_PACKJOBS_H
#define GPTQC_CLI_JOBS_PACKJOBS_H

#include "cli/jobs/KernelJobs.h"

namespace gptqc::cli {

/// All kernels of the layers on the targets for the buckets of `tokens` (empty: all), their support
/// kernels, and with `ptx` the same as PTX for GPUs that come later. InvalidArgument for two
/// targets of one architecture.
Result<std::vector<KernelJob>> packJobs(const std::vector<Descriptor> &layers,
                                        const std::vector<Target> &targets,
                                        const std::vector<int64_t> &tokens, bool ptx);

struct PackSummary {
  int64_t kernels = 0;
  int64_t bytes = 0; ///< of code
};

/// Writes compiled jobs, whose images it takes; the first failure among them is returned. `targets`
/// and the digest of the file `tuned` (empty: none) become provenance.
Result<PackSummary> writePack(std::vector<KernelJob> &jobs, const std::string &targets,
                              const std::string &tuned, const std::string &output);

} // namespace gptqc::cli

#endif // GPTQC_CLI_JOBS_PACKJOBS_H
