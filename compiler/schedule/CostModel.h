// CostModel: an analytic estimate of a kernel's time, good enough to rank schedules where no tuning
// record exists. Deterministic; knows nothing of a real device but its target line.
#ifndef GPTQC_COMPILER_SCHEDULE_COSTMODEL_H
#define GPTQC_COMPILER_SCHEDULE_COSTMODEL_H

#include "compiler/schedule/ScheduleSpace.h"

namespace gptqc {

class CostModel {
public:
  /// Estimated SM clock cycles of one launch at the upper end of the descriptor's M range (16384
  /// tokens when it has none). The schedule must be legal.
  static double cycles(const Descriptor &descriptor, const Target &target,
                       const Schedule &schedule);

  /// The cheapest legal schedule; ties go to the first of ScheduleSpace::enumerate. Fails only when
  /// the descriptor is invalid.
  static Result<Schedule> choose(const Descriptor &descriptor, const Target &target);
};

} // namespace gptqc

#endif // GPTQC_COMPILER_SCHEDULE_COSTMODEL_H
