// Round to nearest: the simplest way from a weight matrix to a QuantizedMatrix, and the grid that
// better solvers share.
#ifndef GPTQC_RUNTIME_CHECKPOINT_RTN_H
#define GPTQC_RUNTIME_CHECKPOINT_RTN_H

#include <span>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

struct RtnOptions {
  int bits = 4;
  int64_t groupSize = 128; ///< -1: one group
  bool sym = true;
  bool actOrder = false;    ///< groups of columns by their norm in W, largest first
  bool zeroFromOne = false; ///< asymmetric zero points are >= 1, as v1 files need
};

/// Scale (as stored, F16 bits) and zero point of one row in one group.
struct GridPoint {
  uint16_t scale = 0;
  uint8_t zero = 0;
};

/// The same with its scale unrounded.
struct RealGrid {
  float scale = 0;
  uint8_t zero = 0;
};

/// A scale as it is stored: F16 bits, never 0.
uint16_t storedScale(float scale);

/// The grid over [low, high] with 0 inside: low <= 0 <= high, both finite.
RealGrid makeRealGrid(float low, float high, const RtnOptions &options);
GridPoint makeGrid(float low, float high, const RtnOptions &options);

/// Code of one weight on a grid.
uint8_t gridCode(float weight, const GridPoint &point, int bits);

/// Columns of W [N,K] by their Euclidean norm, largest first; equal ones in order.
std::vector<int32_t> columnsByNorm(std::span<const float> weights, int64_t n, int64_t k);

/// Quantizes W [N,K] (row-major, as a linear layer stores it). The codes are chosen for the scales
/// as they are stored. InvalidArgument when a weight is not finite or beyond what F16 scales can
/// reach.
Result<QuantizedMatrix> quantizeRtn(std::span<const float> weights, int64_t n, int64_t k,
                                    DType activation, const RtnOptions &options);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_RTN_H
