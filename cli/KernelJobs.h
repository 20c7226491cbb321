// The options and the progress bar around cli/jobs that compile, pack and load-bench share.
#ifndef GPTQC_CLI_KERNELJOBS_H
#define GPTQC_CLI_KERNELJOBS_H

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/jobs/KernelJobs.h"

namespace gptqc::cli {

/// Adds MODEL, --descriptor and --descriptors, of which one must be given.
void addLayerSource(CLI::App &command, LayerSource &source);

/// compileJobs with its progress under `label`.
void compileJobs(Compiler &compiler, std::vector<KernelJob> &jobs, unsigned threads,
                 const std::string &label);

} // namespace gptqc::cli

#endif // GPTQC_CLI_KERNELJOBS_H
