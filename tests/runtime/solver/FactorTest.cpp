// The factor is that of the inverse, and no H is refused.
#include "runtime/solver/Factor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/solver/SolverFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

/// Largest deviation of H' U^T U from the unit matrix, H' being H in order, damped.
double inverseError(const Hessian &hessian, const Factor &factor) {
  const int64_t k = factor.k;
  double mean = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += hessian.values[size_t(i * k + i)] / double(k);
  double worst = 0;
  std::vector<double> inverse(size_t(k * k));
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j)
      for (int64_t p = 0; p <= std::min(i, j); ++p)
        inverse[size_t(i * k + j)] +=
            double(factor.upper[size_t(p * k + i)]) * factor.upper[size_t(p * k + j)];
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t p = 0; p < k; ++p) {
        const int64_t row = factor.order.column[size_t(i)], column = factor.order.column[size_t(p)];
        const double h =
            hessian.values[size_t(row * k + column)] + (i == p ? factor.damp * mean : 0);
        sum += h * inverse[size_t(p * k + j)];
      }
      worst = std::max(worst, std::abs(sum));
    }
  return worst;
}

TEST(Factor, IsThatOfTheInverse) {
  for (const int64_t k : {1, 5, 63, 64, 65, 150})
    for (const bool actOrder : {false, true}) {
      SCOPED_TRACE(::testing::Message() << k << " " << actOrder);
      const Hessian hessian = correlatedHessian(k, uint64_t(k));
      SolverOptions options;
      options.actOrder = actOrder;
      const Factor factor = factorHessian(hessian, options, Blas::builtin());
      EXPECT_EQ(factor.recovery, Recovery::None);
      EXPECT_EQ(factor.damp, 0.01);
      EXPECT_LT(inverseError(hessian, factor), 2e-3);
    }
}

TEST(Factor, FewTokensNeedNoRecovery) {
  const std::vector<float> x = normalValues(2 * 40, 3);
  HessianSum sum(40, Blas::builtin());
  sum.add({x.data(), 2, 40});
  const Factor factor = factorHessian(*sum.finish(), {}, Blas::builtin());
  EXPECT_EQ(factor.recovery, Recovery::None);
}

/// Eigenvalues 1 + c, 1 - c of each pair.
Hessian pairs(float c) {
  Hessian hessian = diagonalHessian(std::vector<float>(6, 1.0f));
  for (int64_t i = 0; i < 6; i += 2)
    hessian.values[size_t(i * 6 + i + 1)] = hessian.values[size_t((i + 1) * 6 + i)] = c;
  return hessian;
}

TEST(Factor, ClimbsTheLadder) {
  struct Case {
    float c;
    Recovery recovery;
  };
  for (const Case &rung : {Case{0.9f, Recovery::None}, Case{1.3f, Recovery::Damping},
                           Case{1.7f, Recovery::Floor}, Case{2.5f, Recovery::Diagonal}}) {
    SCOPED_TRACE(rung.c);
    const Factor factor = factorHessian(pairs(rung.c), {}, Blas::builtin());
    EXPECT_EQ(recoveryName(factor.recovery), recoveryName(rung.recovery));
    for (int64_t i = 0; i < factor.k; ++i) {
      EXPECT_GT(factor.upper[size_t(i * 6 + i)], 0);
      for (int64_t j = i; j < factor.k; ++j)
        EXPECT_TRUE(std::isfinite(factor.upper[size_t(i * 6 + j)]));
    }
  }
}

TEST(Factor, DeadColumnsDoNotMoveTheDamping) {
  for (const float scale : {1e-6f, 1.0f, 1e6f}) {
    const Factor factor =
        factorHessian(diagonalHessian({scale, 0, 3 * scale, 0}), {}, Blas::builtin());
    EXPECT_EQ(factor.recovery, Recovery::None);
    EXPECT_EQ(factor.diagonal, (std::vector<float>{scale, 0, 3 * scale, 0}));
    // 1 / sqrt(h + 0.01 * mean), with the mean of the live ones.
    EXPECT_NEAR(factor.upper[0] * std::sqrt(1.02 * scale), 1, 1e-5);
    EXPECT_NEAR(factor.upper[5] * std::sqrt(2.02 * scale), 1, 1e-5);
  }
  const Factor none = factorHessian(diagonalHessian({0, 0}), {}, Blas::builtin());
  EXPECT_EQ(none.recovery, Recovery::None);
  EXPECT_TRUE(std::isfinite(none.upper[0]));
}

} // namespace
