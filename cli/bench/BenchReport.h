// The results of bench as a table, a text file and a roofline plot.
#ifndef GPTQC_CLI_BENCH_BENCHREPORT_H
#define GPTQC_CLI_BENCH_BENCHREPORT_H

#include <filesystem>
#include <string>
#include <vector>

#include "cli/bench/BenchMath.h"
#include "cli/bench/PeerTable.h"
#include "runtime/core/Status.h"

namespace gptqc::cli {

/// One measured point; times in microseconds.
struct BenchRow {
  Descriptor descriptor; ///< its range is the one that the kernel was compiled for
  int64_t m = 0;
  std::string schedule;
  Timing time;
  std::optional<Timing> floor; ///< the pure-read kernel over the same bytes
  std::optional<Timing> dense; ///< cuBLASLt, 16-bit, on the dequantized W
  std::optional<double> limit;
  std::optional<Timing> untuned; ///< the cost model's own schedule, where records were given
  std::optional<PeerTime> peer;  ///< the best recorded time of another project's kernel
  double relativeFrobenius = 0;  ///< of the check before the measurement
  std::string note;              ///< why `dense` is missing, when it should not be
  Status error;                  ///< when the point could not be measured
};

/// What the numbers were measured with; printed at the head of every report.
struct BenchHead {
  std::string device;   ///< GPU and driver
  std::string commit;   ///< of gptqc
  std::string compiler; ///< e.g. "nvrtc 13.0"
  std::string dense;    ///< path of cuBLASLt, or why there is none
  double budgetMilliseconds = 50;
  uint64_t seed = 1;
};

/// Lines that start with '#'.
std::string benchHeadText(const BenchHead &head);

/// The columns of a run; times of defaults have one where schedules come from tuning records.
struct BenchTable {
  std::vector<Descriptor> descriptors; ///< of all rows
  bool tuned = false;

  /// The titles of the columns.
  std::string head() const;
  std::string row(const BenchRow &row) const;
};

/// Ok, or one line: how many points failed and why the first did.
Status benchVerdict(const std::vector<BenchRow> &rows);

/// Makes a folder for results, and those above it; IoError names it.
Status makeFolder(const std::filesystem::path &folder);

/// Writes <folder>/<stem>.txt and <stem>.svg, making the folder; nothing half-written.
Status writeBenchFiles(const std::filesystem::path &folder, const std::string &stem,
                       const BenchHead &head, const std::vector<BenchRow> &rows,
                       const std::optional<MachineLimits> &limits);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_BENCHREPORT_H
