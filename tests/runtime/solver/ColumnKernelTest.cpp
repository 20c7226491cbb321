// The vectorized inner loops against the plain formulas.
#include "runtime/solver/ColumnKernel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "tests/runtime/solver/SolverFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

TEST(ColumnKernel, QuantizesAndPropagates) {
  constexpr int kColumns = 19;
  const auto at = [](int row, int column) { return size_t(row) * kColumns + size_t(column); };
  const auto block = std::make_unique<LaneBlock>();
  const std::vector<float> w = normalValues(kColumns * kLanes, 1),
                           u = normalValues(kColumns * kColumns, 2);
  std::vector<float> upper(u);
  for (int i = 0; i < kColumns; ++i)
    upper[at(i, i)] = 1 + std::abs(u[at(i, i)]);
  block->columns = kColumns;
  block->maxCode = 7;
  block->upper = upper.data();
  block->stride = kColumns;
  for (int i = 0; i < kColumns; ++i)
    for (int lane = 0; lane < kLanes; ++lane) {
      block->weights[i].value[lane] = w[size_t(i) * kLanes + size_t(lane)];
      block->grids[i].scale.value[lane] = 0.25f + 0.01f * float(lane);
      block->grids[i].zero.value[lane] = float(lane % 8);
    }
  quantizeBlock(*block);
  for (int lane = 0; lane < kLanes; ++lane) {
    std::vector<double> rest;
    for (int i = 0; i < kColumns; ++i)
      rest.push_back(w[size_t(i) * kLanes + size_t(lane)]);
    const double scale = 0.25f + 0.01f * float(lane), zero = lane % 8;
    double loss = 0;
    for (int i = 0; i < kColumns; ++i) {
      // Codes are taken as they came: a tie may fall either way in single precision.
      const double code = block->codes[i][lane];
      const double exact = std::clamp(rest[size_t(i)] / scale + zero, 0.0, 7.0);
      EXPECT_LE(std::abs(code - exact), 0.5 + 1e-3);
      const double error = (rest[size_t(i)] - scale * (code - zero)) / upper[at(i, i)];
      EXPECT_NEAR(block->errors[i].value[lane], error, 1e-3 * (1 + std::abs(error)));
      loss += error * error;
      for (int j = i + 1; j < kColumns; ++j)
        rest[size_t(j)] -= error * upper[at(i, j)];
    }
    EXPECT_NEAR(block->loss.value[lane], loss, 2e-3 * (1 + loss));
  }
}

TEST(ColumnKernel, GridErrorIsThePower) {
  const std::vector<float> w = normalValues(5 * kLanes, 3);
  std::vector<LaneValues> weights(5);
  LaneGrid grid;
  LaneValues sums;
  for (int lane = 0; lane < kLanes; ++lane) {
    grid.scale.value[lane] = 0.001f * float(lane * lane + 1);
    grid.zero.value[lane] = 8;
    sums.value[lane] = 1;
    for (size_t c = 0; c < 5; ++c)
      weights[c].value[lane] = c == 4 ? 0 : w[c * kLanes + size_t(lane)];
  }
  addGridError(weights.data(), 5, grid, 15, sums);
  for (int lane = 0; lane < kLanes; ++lane) {
    double want = 1;
    const double scale = grid.scale.value[lane];
    for (const LaneValues &column : weights) {
      const double code = std::clamp(std::nearbyint(column.value[lane] / scale) + 8, 0.0, 15.0);
      want += std::pow(std::abs(column.value[lane] - scale * (code - 8)), 2.4);
    }
    EXPECT_NEAR(sums.value[lane], want, 3e-4 * want);
  }
}

} // namespace
