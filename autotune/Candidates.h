// Candidates: which of the legal schedules of a point are worth compiling and measuring.
#ifndef GPTQC_AUTOTUNE_CANDIDATES_H
#define GPTQC_AUTOTUNE_CANDIDATES_H

#include <vector>

#include "autotune/records/Records.h"

namespace gptqc {

/// At most `count` (>= 1) schedules: the cost model's choice, then those of `hints` that are legal,
/// then the best of each family that the model sees within a factor of four of its choice, then the
/// rest in the model's order. No schedule twice.
std::vector<Schedule> tuningCandidates(const Descriptor &point, const Target &target,
                                       const std::vector<Schedule> &hints, int count);

/// Records::nearest among the schedules that the compiler accepts for `point` today; null when the
/// cost model sees it fall behind its own choice there, as where tiles fill the GPU less well.
const TuningRecord *nearestLegal(const Records &records, const Descriptor &point,
                                 const Target &target);

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_CANDIDATES_H
