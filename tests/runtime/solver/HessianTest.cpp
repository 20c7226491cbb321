// The sum does not depend on batches; what would spoil it is named.
#include "runtime/solver/Hessian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/runtime/solver/SolverFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

TEST(Hessian, IsTheTokenMean) {
  const int64_t tokens = 50, k = 9;
  const std::vector<float> x = normalValues(tokens * k, 1);
  HessianSum sum(k, Blas::builtin());
  sum.add({x.data(), 13, k});
  sum.add({x.data() + 13 * k, tokens - 13, k});
  EXPECT_EQ(sum.tokens(), tokens);
  const Result<Hessian> hessian = sum.finish();
  ASSERT_TRUE(hessian.ok());
  EXPECT_EQ(hessian->tokens, tokens);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double want = 0;
      for (int64_t t = 0; t < tokens; ++t)
        want += 2.0 / double(tokens) * x[size_t(t * k + i)] * x[size_t(t * k + j)];
      EXPECT_NEAR(hessian->values[size_t(i * k + j)], want, 1e-5);
    }
  EXPECT_TRUE(validate(*hessian).ok());
  EXPECT_EQ(sum.tokens(), 0);
}

TEST(Hessian, NamesTheChannelThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    std::vector<float> x = normalValues(20, 2);
    x[13] = bad; // token 3, channel 1 of 4
    HessianSum sum(4, Blas::builtin());
    sum.add({x.data(), 5, 4});
    const Result<Hessian> hessian = sum.finish();
    ASSERT_FALSE(hessian.ok());
    EXPECT_NE(hessian.status().message().find("input channel 1"), std::string::npos)
        << hessian.status().message();
  }
  EXPECT_FALSE(HessianSum(4, Blas::builtin()).finish().ok()) << "no tokens";
}

TEST(Hessian, OneFromElsewhereIsChecked) {
  Hessian hessian = diagonalHessian({1, 2, 3});
  EXPECT_TRUE(validate(hessian).ok());
  hessian.values[1] = 0.5f;
  EXPECT_NE(validate(hessian).message().find("not symmetric"), std::string::npos);
  hessian.values[1] = NAN;
  EXPECT_NE(validate(hessian).message().find("not finite"), std::string::npos);
  hessian = diagonalHessian({1, -2, 3});
  EXPECT_NE(validate(hessian).message().find("negative diagonal"), std::string::npos);
  hessian.values.pop_back();
  EXPECT_NE(validate(hessian).message().find("3 x 3"), std::string::npos);
}

} // namespace
