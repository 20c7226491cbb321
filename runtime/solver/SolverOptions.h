// What the user may choose about quantizing one layer with GPTQ.
#ifndef GPTQC_RUNTIME_SOLVER_SOLVEROPTIONS_H
#define GPTQC_RUNTIME_SOLVER_SOLVEROPTIONS_H

#include <cstdint>

#include "runtime/core/Status.h"

namespace gptqc {

/// Columns that are quantized before the rest of W is updated, as in the original.
inline constexpr int64_t kSolverBlock = 128;

/// How exactly scales are kept while codes are chosen.
enum class ScaleMode {
  Stored, ///< rounded to F16, as a checkpoint stores them
  F32     ///< unrounded: for comparisons with the original implementation
};

struct SolverOptions {
  int bits = 4;            ///< 2..8
  int64_t groupSize = 128; ///< -1: one group
  bool sym = true;
  bool actOrder = false;      ///< columns by falling diagonal of H; groups formed in that order
  bool staticGroups = false;  ///< grids from the original W, before any column is quantized
  bool actGroupAware = false; ///< columns sorted inside their group, groups by their largest
  bool groupRefresh = false;  ///< a group's grid sees every update; else those before its block
  bool mse = false;           ///< the grid is searched for the least |error|^2.4
  bool zeroFromOne = false;   ///< asymmetric zero points are >= 1, as v1 files need
  double damp = 0.01;         ///< of the mean diagonal of H, added to it; 0 < damp < 1
  ScaleMode scales = ScaleMode::Stored;
};

/// InvalidArgument for values out of range or options that exclude each other.
Status validate(const SolverOptions &options);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_SOLVEROPTIONS_H
