// Quantiles between and at the samples.
#include "runtime/core/Statistics.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(StatisticsTest, QuantilesLieBetweenTheSamples) {
  const std::vector<double> sorted = {1, 2, 4, 8, 16};
  EXPECT_EQ(quantile(sorted, 0), 1);
  EXPECT_EQ(quantile(sorted, 0.5), 4);
  EXPECT_EQ(quantile(sorted, 0.625), 6);
  EXPECT_EQ(quantile(sorted, 1), 16);
  EXPECT_EQ(quantile({3}, 0.9), 3);
}

TEST(StatisticsTest, TheMedianSorts) {
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({9, 1, 5, 2}), 3.5);
}

} // namespace
} // namespace gptqc
