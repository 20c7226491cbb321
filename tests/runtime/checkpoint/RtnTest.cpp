// The grid of round to nearest, and what act-order and v1 files ask of it.
#include "runtime/checkpoint/Rtn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "runtime/core/Float16.h"

using namespace gptqc;

namespace {

RtnOptions options(int bits, bool sym) {
  RtnOptions result;
  result.bits = bits;
  result.sym = sym;
  result.groupSize = 32;
  return result;
}

TEST(RtnGrid, Symmetric) {
  const GridPoint point = makeGrid(-3, 7, options(4, true));
  EXPECT_EQ(point.zero, 8);
  EXPECT_FLOAT_EQ(halfToFloat(point.scale), halfToFloat(floatToHalf(14.0f / 15)));
  EXPECT_EQ(gridCode(0, point, 4), 8);
  EXPECT_EQ(gridCode(7, point, 4), 15) << "clamped: 7 / scale + 8 is 15.5";
  EXPECT_EQ(gridCode(-7, point, 4), 0);
  // All weights positive: the original keeps the lower end at 0.
  EXPECT_FLOAT_EQ(halfToFloat(makeGrid(0, 15, options(4, true)).scale), 1.0f);
}

TEST(RtnGrid, Asymmetric) {
  const GridPoint point = makeGrid(-3, 12, options(4, false));
  EXPECT_EQ(point.zero, 3);
  EXPECT_FLOAT_EQ(halfToFloat(point.scale), 1.0f);
  EXPECT_EQ(gridCode(-3, point, 4), 0);
  EXPECT_EQ(gridCode(12, point, 4), 15);
  EXPECT_EQ(makeGrid(0, 15, options(4, false)).zero, 0);
  EXPECT_EQ(makeGrid(-15, 0, options(4, false)).zero, 15);
}

TEST(RtnGrid, ZeroRowAndTinyRowHaveAScale) {
  EXPECT_FLOAT_EQ(halfToFloat(makeGrid(0, 0, options(8, true)).scale),
                  halfToFloat(floatToHalf(2.0f / 255)));
  EXPECT_EQ(makeGrid(-1e-12f, 1e-12f, options(8, true)).scale, 1);
}

TEST(RtnGrid, ZeroFromOneStillReachesBothEnds) {
  RtnOptions v1 = options(2, false);
  v1.zeroFromOne = true;
  for (const auto &[low, high] : std::vector<std::pair<float, float>>{
           {0, 3}, {-0.1f, 3}, {-0.4f, 0.5f}, {-3, 0}, {0, 0}, {-1, 1}}) {
    const GridPoint point = makeGrid(low, high, v1);
    EXPECT_GE(point.zero, 1);
    const float scale = halfToFloat(point.scale);
    for (float end : {low, high})
      EXPECT_NEAR((gridCode(end, point, 2) - point.zero) * scale, end, scale * 0.5f + 1e-3f)
          << low << ".." << high;
  }
}

std::vector<float> randomWeights(int64_t n, int64_t k) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> weights(size_t(n * k));
  for (int64_t i = 0; i < n * k; ++i)
    weights[size_t(i)] = normal(random) * float(1 + i % k % 13);
  return weights;
}

TEST(Rtn, EveryWeightIsWithinHalfAStepOfItsGrid) {
  const int64_t n = 96, k = 80; // a short last group
  const std::vector<float> weights = randomWeights(n, k);
  for (int bits = 2; bits <= 8; ++bits)
    for (bool sym : {true, false})
      for (bool actOrder : {true, false}) {
        RtnOptions wanted = options(bits, sym);
        wanted.actOrder = actOrder;
        const auto matrix = quantizeRtn(weights, n, k, DType::F16, wanted);
        ASSERT_TRUE(matrix.ok()) << matrix.status().message();
        EXPECT_EQ(matrix->descriptor.sym, sym);
        EXPECT_EQ(matrix->descriptor.actOrder, actOrder);
        EXPECT_FALSE(matrix->descriptor.ragged);
        EXPECT_EQ(matrix->groups, 3);
        for (int64_t row = 0; row < n; ++row)
          for (int64_t column = 0; column < k; ++column) {
            const int64_t group = matrix->groupOf(column);
            const float scale = halfToFloat(matrix->scales[size_t(group * n + row)]);
            const int code = matrix->codes[size_t(column * n + row)];
            const float value = float(code - matrix->zeroAt(group, row)) * scale;
            // The ends of the grid are rounded: by the scale's 11 bits, and a symmetric one has one
            // step less above zero.
            const float slack = (sym ? 1.02f : 0.52f + 0.5f) * scale + 0x1p-10f * std::abs(value);
            ASSERT_NEAR(value, weights[size_t(row * k + column)], slack) << bits << sym << actOrder;
          }
      }
}

TEST(Rtn, ActOrderGroupsColumnsByNorm) {
  const int64_t n = 32, k = 64;
  const std::vector<float> weights = randomWeights(n, k);
  RtnOptions wanted = options(4, true);
  wanted.actOrder = true;
  const auto matrix = quantizeRtn(weights, n, k, DType::F16, wanted);
  ASSERT_TRUE(matrix.ok());
  const std::vector<int32_t> order = columnsByNorm(weights, n, k);
  const auto norm = [&](int32_t column) {
    double sum = 0;
    for (int64_t row = 0; row < n; ++row)
      sum += std::pow(weights[size_t(row * k + column)], 2);
    return sum;
  };
  for (int64_t i = 1; i < k; ++i)
    EXPECT_GE(norm(order[size_t(i - 1)]), norm(order[size_t(i)]));
  for (int64_t i = 0; i < k; ++i)
    EXPECT_EQ(matrix->groupIndex[size_t(order[size_t(i)])], i / 32);
}

TEST(Rtn, EqualNormsKeepTheirOrder) {
  const std::vector<int32_t> order = columnsByNorm(std::vector<float>(8, 1.0f), 2, 4);
  EXPECT_EQ(order, (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Rtn, RefusesWeightsThatAreNotFinite) {
  std::vector<float> weights(32 * 32, 0.5f);
  for (bool actOrder : {false, true}) {
    RtnOptions wanted = options(4, true);
    wanted.actOrder = actOrder;
    weights[40] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_NE(quantizeRtn(weights, 32, 32, DType::F16, wanted).status().message().find("row 1"),
              std::string::npos);
    weights[40] = 1e30f;
    EXPECT_NE(quantizeRtn(weights, 32, 32, DType::F16, wanted).status().message().find("too large"),
              std::string::npos);
  }
}

} // namespace
