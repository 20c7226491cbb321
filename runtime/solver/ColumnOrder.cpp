// Original order, act-order, and group-aware reordering.
#include "runtime/solver/ColumnOrder.h"

#include <algorithm>
#include <numeric>

namespace gptqc {
namespace {

/// Sorts columns by falling diagonal; equal ones keep their order.
void sortColumns(std::span<int32_t> columns, std::span<const float> diagonal) {
  std::stable_sort(columns.begin(), columns.end(),
                   [&](int32_t a, int32_t b) { return diagonal[size_t(a)] > diagonal[size_t(b)]; });
}

/// Group-aware reordering as GPTQModel does it: columns sorted inside their group, whole groups by
/// their largest diagonal element, a short last group in its place.
std::vector<int32_t> groupAwareOrder(std::span<const float> diagonal, int64_t groupSize) {
  const int64_t k = int64_t(diagonal.size()), whole = k / groupSize;
  std::vector<int32_t> columns(static_cast<size_t>(k));
  std::iota(columns.begin(), columns.end(), 0);
  for (int64_t group = 0; group < whole; ++group)
    sortColumns({columns.data() + group * groupSize, size_t(groupSize)}, diagonal);
  std::vector<int64_t> groups(static_cast<size_t>(whole));
  std::iota(groups.begin(), groups.end(), int64_t(0));
  const auto largest = [&](int64_t group) {
    return diagonal[size_t(columns[size_t(group * groupSize)])];
  };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](int64_t a, int64_t b) { return largest(a) > largest(b); });
  std::vector<int32_t> order;
  for (int64_t group : groups)
    order.insert(order.end(), columns.begin() + group * groupSize,
                 columns.begin() + (group + 1) * groupSize);
  order.insert(order.end(), columns.begin() + whole * groupSize, columns.end());
  return order;
}

} // namespace

ColumnOrder ColumnOrder::make(std::span<const float> diagonal, const SolverOptions &options) {
  const int64_t k = int64_t(diagonal.size());
  const int64_t groupSize = options.groupSize < 0 ? k : std::min(options.groupSize, k);
  ColumnOrder order;
  order.groups = (k + groupSize - 1) / groupSize;
  order.staticGrids = options.staticGroups;
  order.column.resize(size_t(k));
  std::iota(order.column.begin(), order.column.end(), 0);
  if (options.actOrder)
    sortColumns(order.column, diagonal);
  else if (options.actGroupAware)
    order.column = groupAwareOrder(diagonal, groupSize);
  // Act-order forms its groups of neighbours in the new order, unless their grids are older.
  const bool byPosition = options.actOrder && !options.staticGroups;
  order.group.resize(size_t(k));
  for (int64_t i = 0; i < k; ++i)
    order.group[size_t(i)] = int32_t((byPosition ? i : order.column[size_t(i)]) / groupSize);
  order.indexGroups();
  return order;
}

void ColumnOrder::indexGroups() {
  starts.assign(size_t(groups) + 1, 0);
  for (int32_t g : group)
    ++starts[size_t(g) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<int32_t> next(starts.begin(), starts.end() - 1);
  byGroup.resize(group.size());
  for (size_t i = 0; i < group.size(); ++i)
    byGroup[size_t(next[size_t(group[i])]++)] = int32_t(i);
}

} // namespace gptqc
