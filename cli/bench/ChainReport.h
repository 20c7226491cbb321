// The results of a chain, all linear layers of a model's block behind each other, as text.
#ifndef GPTQC_CLI_BENCH_CHAINREPORT_H
#define GPTQC_CLI_BENCH_CHAINREPORT_H

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/BenchReport.h"

namespace gptqc::cli {

/// A layer of the chain; times of it alone, microseconds of one launch.
struct ChainLayer {
  Descriptor descriptor; ///< its range is the one that the kernel was compiled for
  std::string schedule;
  Timing time, floor;
};

/// A chain at one token count; times in microseconds of one pass over all its layers.
struct ChainRow {
  int64_t m = 0;
  int blocks = 0; ///< copies of the weights that take turns
  std::vector<ChainLayer> layers;
  Timing time;
  std::optional<Timing> overlapped; ///< with programmatic dependent launch, where the GPU has it
  std::optional<Timing> dense;      ///< cuBLASLt, the same layers in one graph
  std::string note;                 ///< why `dense` is missing, when it should not be
  Status error;                     ///< when the chain could not be measured

  /// The sum of the layers' read floors.
  double floor() const;
};

/// Several lines, with a newline at the end: the layers alone, then all of them in one graph.
std::string chainText(const ChainRow &row);

/// Ok, or one line: which token count failed first and why.
Status chainVerdict(const std::vector<ChainRow> &rows);

/// Writes <folder>/<stem>.txt, making the folder; nothing half-written.
Status writeChainFile(const std::filesystem::path &folder, const std::string &stem,
                      const BenchHead &head, const std::vector<ChainRow> &rows);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_CHAINREPORT_H
