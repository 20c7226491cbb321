// `gptqc bench --chain`: all layers of a model's block in one graph.
#ifndef GPTQC_CLI_BENCH_CHAINBENCH_H
#define GPTQC_CLI_BENCH_CHAINBENCH_H

#include <functional>
#include <vector>

#include "cli/bench/ChainReport.h"
#include "cli/bench/CudaBench.h"

namespace gptqc::cli {

/// Checks and times the chain at each token count of the options (1 and 16 without). A layer whose
/// input is not wider than what the layer in front puts out reads its X there; the others, the
/// first among them, read activations of their own. `report` sees each row as it is known; one that
/// fails holds its error and the others go on.
std::vector<ChainRow> benchChain(const CudaBench &bench, const std::vector<Descriptor> &chain,
                                 const std::function<void(const ChainRow &)> &report);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_CHAINBENCH_H
