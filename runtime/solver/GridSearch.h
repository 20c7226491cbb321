// The grids (scale and zero point) of one group, for several rows of W at once.
#ifndef GPTQC_RUNTIME_SOLVER_GRIDSEARCH_H
#define GPTQC_RUNTIME_SOLVER_GRIDSEARCH_H

#include <span>

#include "runtime/solver/SolverOptions.h"

namespace gptqc {

/// Rows of W that the solver works on together: neighbours in memory, one lane of a vector each.
inline constexpr int kLanes = 32;

/// One value for each row.
struct alignas(64) LaneValues {
  float value[kLanes] = {};
};

struct LaneGrid {
  LaneValues scale, zero;
};

/// Grids over the rows `lanes` of a transposed W: element (position, lane) is
/// weights[position * stride + lane], for each of `positions` and lane < lanes. The other lanes get
/// a harmless grid. As the original: minimum and maximum with 0 inside; with options.mse the range
/// is shrunk in steps of 1 % down to 20 % as long as the sum of |error|^2.4 falls.
LaneGrid findGrids(const float *weights, int64_t stride, int lanes,
                   std::span<const int32_t> positions, const SolverOptions &options);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_GRIDSEARCH_H
