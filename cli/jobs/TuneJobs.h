// TuneJobs: tuning the kernels of a model, or of descriptors, on a GPU into a file of records; what
// `gptqc tune` and the Python package share.
#ifndef GPTQC_CLI_JOBS_TUNEJOBS_H
#define GPTQC_CLI_JOBS_TUNEJOBS_H

#include "autotune/Tuner.h"
#include "cli/check/Runner.h"
#include "cli/jobs/KernelJobs.h"

namespace gptqc::cli {

struct TuneSettings {
  LayerSource layers;
  std::vector<int64_t> tokens;   ///< the M buckets that hold them; empty: all
  std::string records;           ///< file to add to, point by point; points in it are skipped
  int64_t shard = 0, shards = 1; ///< every `shards`-th point, from number `shard` on
  TunerOptions tuner;            ///< threads, build and hints are filled in
  RunnerOptions runner;          ///< NVRTC, threads, the cache of the support kernels
  uint64_t seed = 1;             ///< of weights and activations
  bool again = false;            ///< points with records too
};

struct TuneProgress {
  /// Before the first point: the GPU, and how many points there are to tune.
  std::function<void(const std::string &device, int64_t points)> begin;
  /// After each point, its records being on disk.
  std::function<void(const TunedPoint &)> point;
};

struct TuneSummary {
  int64_t points = 0; ///< to tune: of the shard, without records
  int64_t tuned = 0;  ///< fewer when the budget was spent
  int64_t failed = 0; ///< with an error
  Status firstError;

  /// The first error of a point, saying how many there were.
  Status verdict() const;
};

/// Calls back on this thread. InvalidArgument for what is asked, before a GPU is looked for;
/// DeviceError without a usable one; IoError when the records cannot be written.
Result<TuneSummary> tuneJobs(const TuneSettings &settings, const TuneProgress &progress);

} // namespace gptqc::cli

#endif // GPTQC_CLI_JOBS_TUNEJOBS_H
