// Gathers rows in the order of quantization, and rounds them.
#include "runtime/solver/Samples.h"

#include <algorithm>
#include <cmath>

#include "runtime/solver/GridSearch.h"

namespace gptqc {

RowSamples RowSamples::take(std::span<const float> weights, int64_t n, const Factor &factor,
                            const SolverOptions &options) {
  const int64_t k = factor.k, rows = std::min(n, kMostRows);
  const ColumnOrder &order = factor.order;
  RowSamples samples;
  samples.rows = rows;
  samples.signal.resize(size_t(k * rows));
  samples.difference.resize(size_t(k * rows));
  for (int64_t i = 0; i < k; ++i) {
    const int64_t column = order.column[size_t(i)];
    if (!(factor.diagonal[size_t(column)] > 0))
      continue; // dead
    for (int64_t sample = 0; sample < rows; ++sample)
      samples.signal[size_t(i * rows + sample)] =
          weights[size_t(rowOf(sample, rows, n) * k + column)];
  }
  const float maxCode = float((1 << options.bits) - 1);
  for (int64_t first = 0; first < rows; first += kLanes) {
    const int lanes = int(std::min<int64_t>(kLanes, rows - first));
    for (int64_t group = 0; group < order.groups; ++group) {
      const std::span<const int32_t> positions = order.positionsOf(group);
      const LaneGrid grid =
          findGrids(samples.signal.data() + first, rows, lanes, positions, options);
      for (int32_t position : positions)
        for (int lane = 0; lane < lanes; ++lane) {
          const float scale = grid.scale.value[lane], zero = grid.zero.value[lane];
          const size_t at = size_t(position * rows + first + lane);
          const float code =
              std::clamp(std::rint(samples.signal[at] / scale) + zero, 0.0f, maxCode);
          samples.difference[at] = samples.signal[at] - scale * (code - zero);
        }
    }
  }
  return samples;
}

} // namespace gptqc
