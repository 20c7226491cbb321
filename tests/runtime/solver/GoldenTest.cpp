// The solver against the results of the original implementation, for every configuration that
// tests/data/golden holds: the same codes with fp32 scales, the same objective with stored ones.
#include <gtest/gtest.h>

#include "tests/runtime/solver/Golden.h"

using namespace gptqc;

namespace {

class GoldenTest : public ::testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string(GetParam()) == "builtin")
      return;
    const auto opened = Blas::openblas();
    if (!opened.ok())
      GTEST_SKIP() << opened.status().message();
    blas = *opened;
  }

  LayerSolution solve(const LayerFile &layer, SolverOptions options, ScaleMode scales) {
    options.scales = scales;
    const auto solution = solveLayer(layer.weights, layer.n, layer.k, layer.hessian, options, blas);
    EXPECT_TRUE(solution.ok()) << solution.status().message();
    return solution.ok() ? *solution : LayerSolution();
  }

  Blas blas = Blas::builtin();
};

TEST_P(GoldenTest, ReproducesTheOriginal) {
  const std::vector<golden::Case> cases = golden::cases();
  ASSERT_EQ(cases.size(), 20u);
  for (const golden::Case &c : cases) {
    SCOPED_TRACE(c.name);
    const double want = golden::objective(*c.layer, c.q);
    const LayerSolution exact = solve(*c.layer, c.options, ScaleMode::F32);
    const double share = golden::sameShare(exact, c.q);
    const double f32 = golden::objective(*c.layer, exact.dequantize()) / want - 1;
    const LayerSolution stored = solve(*c.layer, c.options, ScaleMode::Stored);
    const double f16 = golden::objective(*c.layer, stored.dequantize()) / want - 1;
    EXPECT_GE(share, 0.99);
    EXPECT_LE(f32, 0.001);
    EXPECT_LE(f16, 0.005);
    EXPECT_EQ(exact.recovery, Recovery::None);
    // The damping of 1 % adds to the loss what it adds to H.
    EXPECT_GT(stored.loss, (1 + f16) * want);
    EXPECT_LT(stored.errorAfter, stored.errorBefore);
    std::printf(
        "%-45s same %.4f %%, objective %+.4f %% (f32), %+.4f %% (f16), error %.4f -> %.4f\n",
        c.name.c_str(), 100 * share, 100 * f32, 100 * f16, stored.errorBefore, stored.errorAfter);
  }
}

INSTANTIATE_TEST_SUITE_P(Blas, GoldenTest, ::testing::Values("builtin", "openblas"));

} // namespace
