// ScheduleSpace: which schedules are legal for a descriptor on a target, with the reason when one
// is not, and the list of those worth measuring. The only place that decides legality:
// AssignSchedule, the cost model and the tuner all ask here.
#ifndef GPTQC_COMPILER_SCHEDULE_SCHEDULESPACE_H
#define GPTQC_COMPILER_SCHEDULE_SCHEDULESPACE_H

#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Status.h"
#include "runtime/core/Target.h"

namespace gptqc {

class ScheduleSpace {
public:
  /// Ok, or Code::Unsupported with the reason and a remedy on one line. (An invalid descriptor is
  /// InvalidArgument.)
  static Status check(const Descriptor &descriptor, const Target &target, const Schedule &schedule);

  /// Every legal schedule of the grid that the tuner measures, in a fixed order, simt last. Never
  /// empty for a valid descriptor.
  static std::vector<Schedule> enumerate(const Descriptor &descriptor, const Target &target);
};

} // namespace gptqc

#endif // GPTQC_COMPILER_SCHEDULE_SCHEDULESPACE_H
