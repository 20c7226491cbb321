// ModelCheck: the cost model judged by tuning records: how much slower than the fastest measured
// schedule of a point is the one that the untuned compiler takes.
#ifndef GPTQC_AUTOTUNE_MODELCHECK_H
#define GPTQC_AUTOTUNE_MODELCHECK_H

#include <string>
#include <vector>

#include "autotune/records/Records.h"

namespace gptqc {

/// A point of a set of records with its schedules, fastest first; a schedule that was measured
/// again counts once, with its last time. Points into the records, which must outlive it.
struct MeasuredPoint {
  Descriptor descriptor;
  Target target;
  std::vector<const TuningRecord *> tried; ///< one at least

  const TuningRecord &best() const { return *tried.front(); }
  /// The record of a schedule; null where it was not measured.
  const TuningRecord *find(const Schedule &schedule) const;
};

/// Ordered by target, then descriptor.
std::vector<MeasuredPoint> measuredPoints(const Records &records);

/// The model's choice for a point.
struct ModelVerdict {
  Schedule choice;
  /// The choice's own record; where it was not measured, that of the schedule that the model likes
  /// best among the measured ones; null where none of these is legal today.
  const TuningRecord *record = nullptr;
  bool measured = false; ///< the choice itself was
  double ratio = 0;      ///< time of `record` over the best time, >= 1; 0 without a record
};

ModelVerdict judgeModel(const MeasuredPoint &point);

/// Defaults that take no longer than this times the best measured are as good as tuned.
inline constexpr double kModelTolerance = 1.1;

/// What `gptqc tune check` prints: a line for each point, then the share of the points within the
/// tolerance and the worst one.
struct ModelReport {
  std::string text;
  double share = 1; ///< of the judged points, 0..1; 1 without any
  int64_t judged = 0;
};

ModelReport checkModel(const Records &records);

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_MODELCHECK_H
