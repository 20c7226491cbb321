// On a GPU: the solver gives what the CPU gives, for every option, and reproduces the original
// implementation. Skipped without a GPU, except with GPTQC_REQUIRE_GPU set. GPTQC_SOLVER_TIMES=1
// also times large layers.
#include "runtime/solver/cuda/CudaSolver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <optional>

#include "compiler/jit/NvrtcCompiler.h"
#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/solver/LayerFile.h"
#include "templates/Templates.h"
#include "tests/runtime/solver/Golden.h"
#include "tests/runtime/solver/SolverFixture.h"

namespace gptqc {
namespace {

class CudaSolverGpu : public ::testing::Test {
protected:
  void SetUp() override {
    auto opened = Device::open(0);
    if (!opened.ok()) {
      if (std::getenv("GPTQC_REQUIRE_GPU"))
        FAIL() << opened.status().message();
      GTEST_SKIP() << opened.status().message();
    }
    const auto compiler = NvrtcCompiler::open({});
    ASSERT_TRUE(compiler.ok()) << compiler.status().message();
    NvrtcRequest request;
    request.source = findTemplate(CudaSolver::kFile).text;
    request.name = CudaSolver::kFile;
    request.target = opened->target();
    const auto output = (*compiler)->compile(request);
    ASSERT_TRUE(output.ok()) << output.status().message();
    KernelImage image;
    image.cubin = output->cubin;
    image.target = opened->target().print();
    image.compiler = (*compiler)->version();
    auto created = CudaSolver::create(*opened, image);
    ASSERT_TRUE(created.ok()) << created.status().message();
    solver = std::move(*created);
  }

  LayerSolution solve(std::span<const float> weights, int64_t n, const Hessian &hessian,
                      const SolverOptions &options) {
    const auto factor = solver->factor(hessian, options);
    EXPECT_TRUE(factor.ok()) << factor.status().message();
    const auto solution = solver->solve(weights, n, hessian.k, *factor, options);
    EXPECT_TRUE(solution.ok()) << solution.status().message();
    return solution.ok() ? *solution : LayerSolution();
  }

  std::unique_ptr<CudaSolver> solver;
};

double sameCodes(const LayerSolution &a, const LayerSolution &b) {
  int64_t same = 0;
  for (size_t i = 0; i < a.codes.size(); ++i)
    same += a.codes[i] == b.codes[i];
  return double(same) / double(a.codes.size());
}

TEST_F(CudaSolverGpu, ReproducesTheOriginal) {
  for (const golden::Case &c : golden::cases()) {
    SCOPED_TRACE(c.name);
    SolverOptions options = c.options;
    options.scales = ScaleMode::F32;
    const LayerSolution exact = solve(c.layer->weights, c.layer->n, c.layer->hessian, options);
    const double want = golden::objective(*c.layer, c.q);
    const double share = golden::sameShare(exact, c.q);
    const double f32 = golden::objective(*c.layer, exact.dequantize()) / want - 1;
    options.scales = ScaleMode::Stored;
    const LayerSolution stored = solve(c.layer->weights, c.layer->n, c.layer->hessian, options);
    const double f16 = golden::objective(*c.layer, stored.dequantize()) / want - 1;
    EXPECT_GE(share, 0.99);
    EXPECT_LE(f32, 0.001);
    EXPECT_LE(f16, 0.005);
    std::printf("%-45s same %.4f %%, objective %+.4f %% (f32), %+.4f %% (f16)\n", c.name.c_str(),
                100 * share, 100 * f32, 100 * f16);
  }
}

TEST_F(CudaSolverGpu, AgreesWithTheCpu) {
  const int64_t n = 77, k = 300;
  std::vector<float> weights = fixtures::normalValues(n * k, 1);
  Hessian hessian = fixtures::correlatedHessian(k, 2);
  for (int64_t i = 0; i < k; ++i) // a dead column
    hessian.values[size_t(17 * k + i)] = hessian.values[size_t(i * k + 17)] = 0;
  std::vector<SolverOptions> all(7);
  all[1].sym = false;
  all[1].groupSize = 32;
  all[2].actOrder = true;
  all[2].groupSize = 96;
  all[3].actOrder = all[3].staticGroups = true;
  all[4].actGroupAware = true;
  all[4].groupSize = -1;
  all[5].groupRefresh = true;
  all[5].groupSize = 48;
  all[6].mse = true;
  all[6].bits = 3;
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    const LayerSolution gpu = solve(weights, n, hessian, all[i]);
    const auto cpu = solveLayer(weights, n, k, hessian, all[i], Blas::builtin());
    ASSERT_TRUE(cpu.ok());
    EXPECT_EQ(gpu.groupIndex, cpu->groupIndex);
    EXPECT_GE(sameCodes(gpu, *cpu), i == 6 ? 0.9 : 0.99);
    EXPECT_NEAR(gpu.loss, cpu->loss, 0.005 * cpu->loss);
    EXPECT_NEAR(gpu.errorBefore, cpu->errorBefore, 0.01 * cpu->errorBefore);
    EXPECT_NEAR(gpu.errorAfter, cpu->errorAfter, 0.01 * cpu->errorAfter);
  }
}

TEST_F(CudaSolverGpu, ClimbsTheLadder) {
  for (const float c : {0.9f, 1.3f, 1.7f, 2.5f}) {
    Hessian hessian = fixtures::diagonalHessian(std::vector<float>(64, 1.0f));
    for (int64_t i = 0; i < 64; i += 2)
      hessian.values[size_t(i * 64 + i + 1)] = hessian.values[size_t((i + 1) * 64 + i)] = c;
    const std::vector<float> weights = fixtures::normalValues(32 * 64, 3);
    const LayerSolution gpu = solve(weights, 32, hessian, {});
    const Factor factor = factorHessian(hessian, {}, Blas::builtin());
    EXPECT_EQ(gpu.recovery, factor.recovery);
    EXPECT_EQ(gpu.damp, factor.damp);
    EXPECT_TRUE(isFinite(gpu));
  }
}

/// A covariance that falls off with distance: positive definite, made in no time.
Hessian largeHessian(int64_t k) {
  Hessian hessian{k, 1, std::vector<float>(static_cast<size_t>(k * k))};
  Random random(static_cast<uint64_t>(k));
  std::vector<float> size(static_cast<size_t>(k));
  for (float &s : size)
    s = 0.2f + random.uniform();
  for (int64_t i = 0; i < k; ++i) {
    float correlation = 1;
    for (int64_t j = i; j < k && correlation > 1e-6f; ++j) {
      hessian.values[size_t(i * k + j)] = hessian.values[size_t(j * k + i)] =
          correlation * size[size_t(i)] * size[size_t(j)];
      correlation *= 0.9f;
    }
  }
  return hessian;
}

TEST_F(CudaSolverGpu, Times) {
  if (!std::getenv("GPTQC_SOLVER_TIMES"))
    GTEST_SKIP() << "GPTQC_SOLVER_TIMES is not set";
  struct Shape {
    int64_t n, k;
    double target;
  };
  for (const Shape &shape :
       {Shape{4096, 4096, 0.05}, Shape{14336, 4096, 0.08}, Shape{4096, 14336, 0.40},
        Shape{8192, 8192, 0.15}, Shape{8192, 28672, 2.2}}) {
    const Hessian hessian = largeHessian(shape.k);
    std::vector<float> weights(size_t(shape.n * shape.k));
    Random random(1);
    for (float &w : weights)
      w = 0.1f * (random.uniform() - 0.5f);
    for (int run = 0; run < 2; ++run) {
      const auto factor = solver->factor(hessian, {});
      ASSERT_TRUE(factor.ok()) << factor.status().message();
      double milliseconds = 0;
      const auto solution = solver->solve(weights, shape.n, shape.k, *factor, {}, &milliseconds);
      ASSERT_TRUE(solution.ok()) << solution.status().message();
      std::printf("%5lld x %5lld: Cholesky chain %8.2f ms, column loop %8.2f ms, together %.4f s "
                  "(target %.2f), error %.4f -> %.4f\n",
                  (long long)shape.n, (long long)shape.k, factor->milliseconds, milliseconds,
                  (factor->milliseconds + milliseconds) / 1000, shape.target, solution->errorBefore,
                  solution->errorAfter);
      if (run == 1) { // the first one warms up
        EXPECT_LE((factor->milliseconds + milliseconds) / 1000, shape.target);
      }
    }
  }
}

} // namespace
} // namespace gptqc
