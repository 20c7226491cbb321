// Range of a group, and the search for a better one.
#include "runtime/solver/GridSearch.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/checkpoint/Rtn.h"
#include "runtime/core/Float16.h"
#include "runtime/solver/ColumnKernel.h"

namespace gptqc {
namespace {

// The original's search: `for i in range(int(maxshrink * grid))`.
constexpr int kSearchGrid = 100, kSearchSteps = 80;

struct LaneRange {
  LaneValues low, high;
};

LaneRange rangesOf(const float *weights, int64_t stride, int lanes,
                   std::span<const int32_t> positions) {
  LaneRange range;
  for (int32_t position : positions) {
    const float *row = weights + position * stride;
    for (int lane = 0; lane < lanes; ++lane) {
      const float w = row[lane];
      range.low.value[lane] = w < range.low.value[lane] ? w : range.low.value[lane];
      range.high.value[lane] = w > range.high.value[lane] ? w : range.high.value[lane];
    }
  }
  return range;
}

LaneGrid gridsOver(const LaneRange &range, float factor, const SolverOptions &options) {
  RtnOptions rtn;
  rtn.bits = options.bits;
  rtn.sym = options.sym;
  rtn.zeroFromOne = options.zeroFromOne;
  LaneGrid grid;
  for (int lane = 0; lane < kLanes; ++lane) {
    const RealGrid real =
        makeRealGrid(range.low.value[lane] * factor, range.high.value[lane] * factor, rtn);
    grid.scale.value[lane] = options.scales == ScaleMode::Stored
                                 ? halfToFloat(storedScale(real.scale))
                                 : std::max(real.scale, std::numeric_limits<float>::min());
    grid.zero.value[lane] = float(real.zero);
  }
  return grid;
}

} // namespace

LaneGrid findGrids(const float *weights, int64_t stride, int lanes,
                   std::span<const int32_t> positions, const SolverOptions &options) {
  const LaneRange range = rangesOf(weights, stride, lanes, positions);
  LaneGrid best = gridsOver(range, 1, options);
  if (!options.mse)
    return best;
  std::vector<LaneValues> columns(positions.size());
  for (size_t i = 0; i < positions.size(); ++i)
    std::copy_n(weights + positions[i] * stride, lanes, columns[i].value);
  const float maxCode = float((1 << options.bits) - 1);
  LaneValues least;
  std::fill_n(least.value, kLanes, std::numeric_limits<float>::infinity());
  for (int step = 0; step < kSearchSteps; ++step) {
    const LaneGrid grid = gridsOver(range, 1 - float(step) / kSearchGrid, options);
    LaneValues error;
    addGridError(columns.data(), int64_t(columns.size()), grid, maxCode, error);
    for (int lane = 0; lane < kLanes; ++lane)
      if (error.value[lane] < least.value[lane]) {
        least.value[lane] = error.value[lane];
        best.scale.value[lane] = grid.scale.value[lane];
        best.zero.value[lane] = grid.zero.value[lane];
      }
  }
  return best;
}

} // namespace gptqc
