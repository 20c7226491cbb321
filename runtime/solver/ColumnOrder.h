// In which order the columns of W are quantized, and which group each belongs to.
#ifndef GPTQC_RUNTIME_SOLVER_COLUMNORDER_H
#define GPTQC_RUNTIME_SOLVER_COLUMNORDER_H

#include <span>
#include <vector>

#include "runtime/solver/SolverOptions.h"

namespace gptqc {

/// A *position* is a column's place in the order of quantization.
struct ColumnOrder {
  std::vector<int32_t> column; ///< [K], of each position
  std::vector<int32_t> group;  ///< [K], of each position
  int64_t groups = 0;
  bool staticGrids = false; ///< all grids are made before the first column

  int64_t k() const { return int64_t(column.size()); }
  /// Positions of a group, in order.
  std::span<const int32_t> positionsOf(int64_t group) const {
    return {byGroup.data() + starts[size_t(group)],
            size_t(starts[size_t(group) + 1] - starts[size_t(group)])};
  }

  /// From the diagonal of H. Equal elements keep their order.
  static ColumnOrder make(std::span<const float> diagonal, const SolverOptions &options);

private:
  void indexGroups();

  std::vector<int32_t> byGroup; ///< [K] positions, group by group
  std::vector<int32_t> starts;  ///< [groups + 1]
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_COLUMNORDER_H
