// What is tried, in order, to make H positive definite.
#ifndef GPTQC_RUNTIME_SOLVER_LADDER_H
#define GPTQC_RUNTIME_SOLVER_LADDER_H

#include <span>
#include <vector>

#include "runtime/solver/Factor.h"

namespace gptqc {

/// Mean and largest of the elements of a diagonal that are not 0. Dead columns get the mean, so
/// that they neither add to the damping nor take from it, whatever the scale of H.
struct Magnitude {
  double mean = 1, largest = 1;

  explicit Magnitude(std::span<const float> diagonal);
  double of(float value) const { return value > 0 ? value : mean; }
};

/// damp * mean + floor * largest goes on the diagonal.
struct Rung {
  double damp = 0, floor = 0;
  Recovery recovery = Recovery::None;
};

/// Damping doubles until it would reach 1, then the floor grows from 1e-6 to 1e-1. After the last
/// rung comes diagonalFactor.
std::vector<Rung> dampingLadder(double damp);

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_LADDER_H
