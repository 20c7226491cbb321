// Orders and groups on a diagonal that can be checked by eye.
#include "runtime/solver/ColumnOrder.h"

#include <gtest/gtest.h>

using namespace gptqc;

namespace {

using Columns = std::vector<int32_t>;

const std::vector<float> kDiagonal = {1, 5, 2, 2, 9, 3, 4}; // groups of 3: {0,1,2} {3,4,5} {6}

SolverOptions options(int64_t groupSize) {
  SolverOptions result;
  result.groupSize = groupSize;
  return result;
}

Columns positions(const ColumnOrder &order, int64_t group) {
  const std::span<const int32_t> span = order.positionsOf(group);
  return {span.begin(), span.end()};
}

TEST(ColumnOrder, OriginalOrder) {
  const ColumnOrder order = ColumnOrder::make(kDiagonal, options(3));
  EXPECT_EQ(order.column, (Columns{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(order.group, (Columns{0, 0, 0, 1, 1, 1, 2}));
  EXPECT_EQ(order.groups, 3);
  EXPECT_EQ(positions(order, 1), (Columns{3, 4, 5}));
  EXPECT_EQ(positions(order, 2), (Columns{6}));
}

TEST(ColumnOrder, OneGroup) {
  for (const int64_t size : {-1, 7, 100}) {
    const ColumnOrder order = ColumnOrder::make(kDiagonal, options(size));
    EXPECT_EQ(order.groups, 1);
    EXPECT_EQ(order.group, Columns(7, 0));
  }
}

TEST(ColumnOrder, ActOrderFormsGroupsOfNeighbours) {
  SolverOptions act = options(3);
  act.actOrder = true;
  const ColumnOrder order = ColumnOrder::make(kDiagonal, act);
  EXPECT_EQ(order.column, (Columns{4, 1, 6, 5, 2, 3, 0})) << "equal elements keep their order";
  EXPECT_EQ(order.group, (Columns{0, 0, 0, 1, 1, 1, 2}));
}

TEST(ColumnOrder, StaticGroupsKeepTheirColumns) {
  SolverOptions act = options(3);
  act.actOrder = act.staticGroups = true;
  const ColumnOrder order = ColumnOrder::make(kDiagonal, act);
  EXPECT_TRUE(order.staticGrids);
  EXPECT_EQ(order.column, (Columns{4, 1, 6, 5, 2, 3, 0}));
  EXPECT_EQ(order.group, (Columns{1, 0, 2, 1, 0, 1, 0}));
  EXPECT_EQ(positions(order, 0), (Columns{1, 4, 6}));
}

TEST(ColumnOrder, GroupAwareSortsInsideAndAcrossWholeGroups) {
  SolverOptions aware = options(3);
  aware.actGroupAware = true;
  const ColumnOrder order = ColumnOrder::make(kDiagonal, aware);
  EXPECT_EQ(order.column, (Columns{4, 5, 3, 1, 2, 0, 6})) << "the short last group stays last";
  EXPECT_EQ(order.group, (Columns{1, 1, 1, 0, 0, 0, 2})) << "g_idx stays sequential";
}

} // namespace
