// WgmmaCost: the part of the cost model that ranks schedules of the wgmma family.
#ifndef GPTQC_COMPILER_SCHEDULE_WGMMACOST_H
#define GPTQC_COMPILER_SCHEDULE_WGMMACOST_H

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// Cycles of a launch with `tokens` rows of X, without the kernel in front that may permute them.
/// Fitted to measurements on an H200: 64 rows x 64 columns of k cost the tensor cores about 2
/// cycles a token, beside which little else is issued, and a warpgroup's chain of waits takes its
/// time however few there are.
double wgmmaCycles(const Descriptor &d, const Target &t, const Schedule &s, double tokens);

} // namespace gptqc

#endif // GPTQC_COMPILER_SCHEDULE_WGMMACOST_H
