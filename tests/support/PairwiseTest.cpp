// The covering array: complete, legal, deterministic, and much smaller than the product.
#include "tests/support/Pairwise.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

using gptqc::fixtures::pairwiseCover;

namespace {

using Row = std::vector<int>;
using Pair = std::tuple<size_t, int, size_t, int>;

std::set<Pair> pairsOf(const std::vector<Row> &rows) {
  std::set<Pair> pairs;
  for (const Row &row : rows)
    for (size_t a = 0; a < row.size(); ++a)
      for (size_t b = a + 1; b < row.size(); ++b)
        pairs.insert({a, row[a], b, row[b]});
  return pairs;
}

std::vector<Row> product(const std::vector<int> &levels,
                         const std::function<bool(const Row &)> &allowed) {
  std::vector<Row> rows;
  Row row(levels.size(), 0);
  while (true) {
    if (allowed(row))
      rows.push_back(row);
    size_t i = 0;
    while (i < row.size() && ++row[i] == levels[i])
      row[i++] = 0;
    if (i == row.size())
      return rows;
  }
}

TEST(Pairwise, CoversEveryLegalPairWithLegalRows) {
  const std::vector<int> levels = {7, 2, 4, 2, 3};
  const auto allowed = [](const Row &row) {
    return !(row[0] >= 3 && row[0] <= 5 && row[4] != 2) && !(row[1] == 1 && row[4] == 0);
  };
  const std::vector<Row> rows = pairwiseCover(levels, allowed, 1);
  for (const Row &row : rows)
    EXPECT_TRUE(allowed(row));
  EXPECT_EQ(pairsOf(rows), pairsOf(product(levels, allowed)));
  EXPECT_LE(rows.size(), 40u);
  EXPECT_GE(rows.size(), 28u);
}

TEST(Pairwise, IsDeterministic) {
  const auto all = [](const Row &) { return true; };
  EXPECT_EQ(pairwiseCover({3, 3, 4, 5}, all, 7), pairwiseCover({3, 3, 4, 5}, all, 7));
}

TEST(Pairwise, FindsPairsThatOnlyOneRowHolds) {
  const auto allowed = [](const Row &row) {
    return row[0] != 2 || (row[1] == 1 && row[2] == 3 && row[3] == 2);
  };
  const std::vector<Row> rows = pairwiseCover({3, 4, 4, 4}, allowed, 3);
  EXPECT_EQ(pairsOf(rows), pairsOf(product({3, 4, 4, 4}, allowed)));
}

TEST(Pairwise, SingleFactorListsItsLegalLevels) {
  const auto odd = [](const Row &row) { return row[0] % 2 == 1; };
  EXPECT_EQ(pairwiseCover({4}, odd, 0), (std::vector<Row>{{1}, {3}}));
}

} // namespace
