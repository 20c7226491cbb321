// Properties of solutions for every option; the numbers themselves are GoldenTest's.
#include "runtime/solver/Solve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/checkpoint/Rtn.h"
#include "runtime/core/Float16.h"
#include "tests/runtime/solver/SolverFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

struct Layer {
  int64_t n, k;
  std::vector<float> weights;
  Hessian hessian;
};

Layer makeLayer(int64_t n, int64_t k, uint64_t seed) {
  Layer layer{n, k, normalValues(n * k, seed), correlatedHessian(k, seed + 1)};
  for (float &w : layer.weights)
    w *= 0.05f;
  return layer;
}

LayerSolution solve(const Layer &layer, const SolverOptions &options, int threads = 2) {
  const Result<LayerSolution> solution = solveLayer(layer.weights, layer.n, layer.k, layer.hessian,
                                                    options, Blas::builtin(threads), threads);
  EXPECT_TRUE(solution.ok()) << solution.status().message();
  return solution.ok() ? *solution : LayerSolution();
}

/// tr((W-Q) H (W-Q)^T), H damped by `damp` of its mean diagonal.
double objective(const Layer &layer, const LayerSolution &solution, double damp) {
  const int64_t k = layer.k;
  const std::vector<float> q = solution.dequantize();
  double mean = 0, total = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += layer.hessian.values[size_t(i * k + i)] / double(k);
  for (int64_t row = 0; row < layer.n; ++row)
    for (int64_t i = 0; i < k; ++i) {
      const auto d = [&](int64_t c) {
        const size_t at = size_t(row * k + c);
        return double(layer.weights[at]) - q[at];
      };
      double sum = damp * mean * d(i);
      for (int64_t j = 0; j < k; ++j)
        sum += layer.hessian.values[size_t(i * k + j)] * d(j);
      total += sum * d(i);
    }
  return total;
}

bool isSequential(const LayerSolution &solution, int64_t groupSize) {
  for (int64_t i = 0; i < solution.k; ++i)
    if (solution.groupIndex[size_t(i)] != i / groupSize)
      return false;
  return true;
}

TEST(Solve, LossIsTheDampedObjectiveAndFallsBelowRounding) {
  const Layer layer = makeLayer(37, 200, 1);
  for (const int bits : {2, 3, 4, 5, 6, 7, 8})
    for (const bool sym : {false, true}) {
      SCOPED_TRACE(::testing::Message() << bits << " bits, sym " << sym);
      SolverOptions options;
      options.bits = bits;
      options.sym = sym;
      options.groupSize = 64;
      const LayerSolution solution = solve(layer, options);
      EXPECT_EQ(solution.groups, 4);
      for (uint8_t code : solution.codes)
        ASSERT_LT(code, 1 << bits);
      const double want = objective(layer, solution, solution.damp);
      EXPECT_NEAR(solution.loss, want, 0.01 * want);
      EXPECT_LT(solution.errorAfter, 0.9 * solution.errorBefore);
    }
}

TEST(Solve, GroupsOfAnySize) {
  const Layer layer = makeLayer(33, 150, 2);
  for (const int64_t groupSize : {int64_t(-1), int64_t(1), int64_t(32), int64_t(96), int64_t(128),
                                  int64_t(144), int64_t(1000)}) {
    SCOPED_TRACE(groupSize);
    SolverOptions options;
    options.groupSize = groupSize;
    const LayerSolution solution = solve(layer, options);
    const int64_t size = groupSize < 0 || groupSize > 150 ? 150 : groupSize;
    EXPECT_EQ(solution.groups, (150 + size - 1) / size);
    EXPECT_TRUE(isSequential(solution, size));
    EXPECT_NEAR(solution.loss, objective(layer, solution, 0.01), 0.01 * solution.loss);
    const Result<QuantizedMatrix> matrix = toMatrix(solution, options, DType::F16);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    EXPECT_TRUE(matrix->zeros.empty()) << "symmetric";
    EXPECT_TRUE(matrix->groupIndex.empty());
  }
}

TEST(Solve, OrdersLowerTheLoss) {
  const Layer layer = makeLayer(48, 256, 3);
  SolverOptions options;
  options.bits = 3;
  options.groupSize = 64;
  const double plain = solve(layer, options).loss;
  options.actOrder = true;
  const LayerSolution act = solve(layer, options);
  EXPECT_LT(act.loss, plain);
  EXPECT_FALSE(isSequential(act, 64));
  options.staticGroups = true;
  const LayerSolution fixed = solve(layer, options);
  EXPECT_LT(fixed.loss, plain);
  EXPECT_TRUE(isSequential(fixed, 64));
  options.actOrder = options.staticGroups = false;
  options.actGroupAware = true;
  const LayerSolution aware = solve(layer, options);
  EXPECT_LT(aware.loss, plain);
  EXPECT_TRUE(isSequential(aware, 64));
  for (const LayerSolution &solution : {act, fixed, aware})
    EXPECT_NEAR(solution.loss, objective(layer, solution, 0.01), 0.01 * solution.loss);
}

TEST(Solve, RefreshedGridsDifferOnlyForSmallGroups) {
  const Layer layer = makeLayer(16, 256, 4);
  SolverOptions early, refreshed;
  refreshed.groupRefresh = true;
  EXPECT_EQ(solve(layer, early).codes, solve(layer, refreshed).codes);
  early.groupSize = refreshed.groupSize = 32;
  const LayerSolution a = solve(layer, early), b = solve(layer, refreshed);
  EXPECT_NE(a.scales, b.scales);
  EXPECT_NEAR(b.loss, objective(layer, b, 0.01), 0.01 * b.loss);
}

TEST(Solve, WithoutCorrelationItIsRoundToNearest) {
  Layer layer = makeLayer(40, 96, 5);
  layer.hessian = diagonalHessian(std::vector<float>(96, 2.0f));
  for (const bool sym : {false, true}) {
    SolverOptions options;
    options.sym = sym;
    options.groupSize = 32;
    const LayerSolution solution = solve(layer, options);
    RtnOptions rtn;
    rtn.groupSize = 32;
    rtn.sym = sym;
    const auto want = quantizeRtn(layer.weights, layer.n, layer.k, DType::F16, rtn);
    const auto have = toMatrix(solution, options, DType::F16);
    ASSERT_TRUE(have.ok());
    EXPECT_EQ(have->codes, want->codes);
    EXPECT_EQ(have->scales, want->scales);
    EXPECT_EQ(have->zeros, want->zeros);
    EXPECT_NEAR(solution.errorAfter, solution.errorBefore, 1e-5);
  }
}

TEST(Solve, SearchedGridsLowerTheLoss) {
  Layer layer = makeLayer(32, 128, 6);
  for (int64_t row = 0; row < layer.n; ++row) // an outlier in every row
    layer.weights[size_t(row * layer.k + row)] = 0.4f;
  SolverOptions options;
  options.bits = 3;
  const double plain = solve(layer, options).loss;
  options.mse = true;
  EXPECT_LT(solve(layer, options).loss, 0.9 * plain);
}

TEST(Solve, ZeroPointsStartAtOneWhereTheFileNeedsIt) {
  Layer layer = makeLayer(32, 128, 7);
  for (float &w : layer.weights)
    w = std::abs(w);
  SolverOptions options;
  options.sym = false;
  const LayerSolution free = solve(layer, options);
  EXPECT_NE(std::count(free.zeros.begin(), free.zeros.end(), 0), 0);
  options.zeroFromOne = true;
  const LayerSolution bound = solve(layer, options);
  EXPECT_EQ(std::count(bound.zeros.begin(), bound.zeros.end(), 0), 0);
}

TEST(Solve, ScalesAreThoseThatAreStored) {
  const Layer layer = makeLayer(20, 64, 8);
  SolverOptions options;
  for (float scale : solve(layer, options).scales)
    EXPECT_EQ(scale, halfToFloat(floatToHalf(scale)));
  options.scales = ScaleMode::F32;
  int rounded = 0;
  for (float scale : solve(layer, options).scales)
    rounded += scale == halfToFloat(floatToHalf(scale));
  EXPECT_LT(rounded, 5);
}

TEST(Solve, ThreadsDoNotChangeTheResult) {
  const Layer layer = makeLayer(100, 300, 9);
  SolverOptions options;
  options.actOrder = true;
  const LayerSolution one = solve(layer, options, 1), three = solve(layer, options, 3);
  EXPECT_EQ(one.codes, three.codes);
  EXPECT_EQ(one.scales, three.scales);
  EXPECT_EQ(one.loss, three.loss);
}

TEST(Solve, DeadColumnsAndDeadLayersBecomeZero) {
  Layer layer = makeLayer(10, 40, 10);
  for (int64_t i = 0; i < 40; ++i)
    layer.hessian.values[size_t(5 * 40 + i)] = layer.hessian.values[size_t(i * 40 + 5)] = 0;
  std::vector<float> q = solve(layer, {}).dequantize();
  for (int64_t row = 0; row < 10; ++row)
    EXPECT_EQ(q[size_t(row * 40 + 5)], 0);
  layer.hessian = diagonalHessian(std::vector<float>(40, 0.0f));
  const LayerSolution dead = solve(layer, {});
  EXPECT_EQ(dead.loss, 0);
  q = dead.dequantize();
  EXPECT_EQ(std::count(q.begin(), q.end(), 0.0f), 400);
}

TEST(Solve, NeverGivesNaN) {
  Layer layer = makeLayer(10, 40, 11);
  for (int64_t i = 0; i < 39; ++i) // indefinite beyond repair
    layer.hessian.values[size_t(i * 40 + i + 1)] = layer.hessian.values[size_t((i + 1) * 40 + i)] =
        3 * layer.hessian.values[size_t(i * 40 + i)];
  const Factor factor = factorHessian(layer.hessian, {}, Blas::builtin());
  const auto solution = solveLayer(layer.weights, layer.n, layer.k, factor, {}, Blas::builtin());
  ASSERT_TRUE(solution.ok());
  EXPECT_EQ(solution->recovery, Recovery::Diagonal);
  for (float q : solution->dequantize())
    EXPECT_TRUE(std::isfinite(q));
}

TEST(Solve, RefusesWhatCannotBeSolved) {
  const Layer layer = makeLayer(4, 8, 12);
  const auto messageOf = [&](const std::vector<float> &weights, const SolverOptions &options) {
    const auto solution = solveLayer(weights, 4, 8, layer.hessian, options, Blas::builtin());
    return solution.ok() ? std::string("solved") : solution.status().message();
  };
  const auto expect = [&](const std::string &message, const char *says) {
    EXPECT_NE(message.find(says), std::string::npos) << message;
  };
  std::vector<float> weights = layer.weights;
  weights[13] = std::numeric_limits<float>::quiet_NaN();
  expect(messageOf(weights, {}), "row 1 of the weight holds a value that is not finite");
  weights[13] = 1e9f;
  expect(messageOf(weights, {}), "too large for an f16 scale");
  weights.pop_back();
  expect(messageOf(weights, {}), "4 x 8 are needed");
  SolverOptions options;
  options.bits = 9;
  expect(messageOf(layer.weights, options), "2 to 8");
  options = {};
  options.groupSize = 0;
  expect(messageOf(layer.weights, options), "group size 0");
  options = {};
  options.damp = 0;
  expect(messageOf(layer.weights, options), "damping 0");
  options = {};
  options.actOrder = options.actGroupAware = true;
  expect(messageOf(layer.weights, options), "choose one");
  options = {};
  options.staticGroups = options.groupRefresh = true;
  expect(messageOf(layer.weights, options), "group refresh");
  const auto wrongK = solveLayer(layer.weights, 8, 4, layer.hessian, {}, Blas::builtin());
  expect(wrongK.status().message(), "H is 8 x 8, W has 4 columns");
}

} // namespace
