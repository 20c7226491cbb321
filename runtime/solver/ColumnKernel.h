// The inner loop of GPTQ: one block of columns for kLanes rows, whose results do not depend on
// other rows.
#ifndef GPTQC_RUNTIME_SOLVER_COLUMNKERNEL_H
#define GPTQC_RUNTIME_SOLVER_COLUMNKERNEL_H

#include "runtime/solver/GridSearch.h"

namespace gptqc {

/// A block of columns of kLanes rows; each array has one entry for each column.
struct LaneBlock {
  int columns = 0;              ///< 1..kSolverBlock
  float maxCode = 15;           ///< 2^bits - 1
  const float *upper = nullptr; ///< U of the block, row stride `stride`
  int64_t stride = 0;
  LaneValues weights[kSolverBlock]; ///< in: W, out: undefined
  LaneGrid grids[kSolverBlock];
  LaneValues errors[kSolverBlock]; ///< out: (w - q) / U[i,i]
  uint8_t codes[kSolverBlock][kLanes] = {};
  LaneValues loss; ///< out: sum of errors^2
};

/// For each column i: code = round(w / scale) + zero on the grid, error e, and
/// W[:, i+1:] -= e U[i, i+1:] inside the block.
void quantizeBlock(LaneBlock &block);

/// Adds sum over `count` columns of |w - quantized(w)|^2.4 to each lane of `sums`; column c is at
/// weights[c].
void addGridError(const LaneValues *weights, int64_t count, const LaneGrid &grid, float maxCode,
                  LaneValues &sums);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_COLUMNKERNEL_H
