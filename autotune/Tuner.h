// Tuner: finds the fastest schedule of each point. The candidates of one point are compiled while
// those of the point before are measured; each is compared with the reference before it is timed.
#ifndef GPTQC_AUTOTUNE_TUNER_H
#define GPTQC_AUTOTUNE_TUNER_H

#include <functional>
#include <string>
#include <vector>

#include "autotune/Measurer.h"
#include "autotune/records/Records.h"

namespace gptqc {

struct TunerOptions {
  int candidates = 24;        ///< most schedules of a point that are compiled and measured
  double secondsPerPoint = 2; ///< of measuring; each kernel is sampled three times in any case
  double budgetSeconds = 0;   ///< no point is begun after this; 0: no limit
  int threads = 0;            ///< that compile; 0: one per core
  std::string build;          ///< for the records
  /// Schedules that are known to be good for similar points.
  std::function<std::vector<Schedule>(const Descriptor &)> hints;
};

/// A schedule that could not be measured: the compiler or the device refused it.
struct RefusedSchedule {
  Schedule schedule;
  std::string reason;
};

/// What tuning found for one point.
struct TunedPoint {
  Descriptor descriptor;
  Schedule defaultSchedule;          ///< the cost model's choice
  std::vector<TuningRecord> records; ///< fastest first
  std::vector<RefusedSchedule> refused;
  Status error; ///< a kernel computed something wrong, or nothing could be measured

  /// Time of the default over the time of the best; 0 where the default was not measured.
  double gain() const;
};

class Tuner {
public:
  /// Compiles a kernel; called from several threads. Unsupported and CompileFailed make a schedule
  /// infinitely slow, other errors are the point's.
  using Compile = std::function<Result<KernelImage>(const Descriptor &, const Schedule &)>;

  Tuner(Measurer &measurer, Compile compile, TunerOptions options)
      : measurer(measurer), compile(std::move(compile)), options(std::move(options)) {}

  /// Tunes the points in order and hands each to `report` at once, whose error ends the run. A
  /// point's error does not; a DeviceError does, since no launch works after one. How many points
  /// were reported: fewer than given when the budget was spent.
  Result<size_t> run(const std::vector<Descriptor> &points,
                     const std::function<Status(const TunedPoint &)> &report);

private:
  struct Candidate;
  struct Prepared;

  Prepared prepare(const Descriptor &point) const;
  Result<TunedPoint> measure(Prepared &prepared);
  Status load(Prepared &prepared, TunedPoint &point);
  Status sampleInTurn(Prepared &prepared);

  Measurer &measurer;
  Compile compile;
  TunerOptions options;
};

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_TUNER_H
