// TransferCheck: transfer judged by tuning records: how fast is the schedule that a point takes
// from its nearest record, beside the untuned default and the best that was measured there.
#ifndef GPTQC_AUTOTUNE_TRANSFERCHECK_H
#define GPTQC_AUTOTUNE_TRANSFERCHECK_H

#include "autotune/ModelCheck.h"

namespace gptqc {

/// What a point of `measured` records takes from other records. Times are those of the point's own
/// records, null where a schedule was not measured.
struct TransferVerdict {
  const TuningRecord *source = nullptr;   ///< nearest record; null: none is, the default is taken
  const TuningRecord *taken = nullptr;    ///< the source's schedule, or the default
  const TuningRecord *standard = nullptr; ///< the default: the cost model's choice

  /// Time of what is taken over another's; 0 where one of them is not known.
  double over(const TuningRecord *other) const;
};

TransferVerdict judgeTransfer(const MeasuredPoint &point, const Records &from);

/// What `gptqc tune check --transfer` prints: a line for each point of `measured` that `from` has
/// no record of, then the share of the points whose schedule is within kModelTolerance of the best
/// measured, for each kind of descriptor and in all, and how these compare with the defaults.
ModelReport checkTransfer(const Records &measured, const Records &from);

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_TRANSFERCHECK_H
