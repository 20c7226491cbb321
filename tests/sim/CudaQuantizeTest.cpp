// The solver of the GPU and the calibration around it on a machine without one: solutions agree
// with the CPU's, whether the residual stream is on the device or not.
#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/solver/cuda/CudaSolver.h"
#include "runtime/solver/quantize/cuda/CudaCalibration.h"
#include "tests/runtime/model/ModelFolder.h"
#include "tests/runtime/solver/SolverFixture.h"
#include "tests/sim/FakeLauncher.h"

namespace gptqc {
namespace {

using fixtures::dataFolder;

double sameCodes(const LayerSolution &a, const LayerSolution &b) {
  int64_t same = 0;
  for (size_t i = 0; i < a.codes.size(); ++i)
    same += a.codes[i] == b.codes[i];
  return double(same) / double(a.codes.size());
}

class CudaQuantize : public sim::SimulatedDevice {
protected:
  void SetUp() override {
    SimulatedDevice::SetUp();
    auto created = CudaSolver::create(*device, sim::solverImage(), {FAKE_CUBLAS, FAKE_CUSOLVER});
    ASSERT_TRUE(created.ok()) << created.status().message();
    solver = std::move(*created);
  }
  void TearDown() override {
    solver.reset();
    SimulatedDevice::TearDown();
  }

  CalibrationFactory calibration() {
    return cudaCalibration(*solver, *device, sim::modelImage(), FAKE_CUBLAS);
  }

  std::unique_ptr<CudaSolver> solver;
};

TEST_F(CudaQuantize, SolutionsAreThoseOfTheCpu) {
  const int64_t n = 20, k = 140;
  const std::vector<float> weights = fixtures::normalValues(n * k, 1);
  Hessian hessian = fixtures::correlatedHessian(k, 2);
  for (int64_t i = 0; i < k; ++i) // a dead column
    hessian.values[size_t(17 * k + i)] = hessian.values[size_t(i * k + 17)] = 0;
  std::vector<SolverOptions> all(2); // CudaSolverGpuTest has more
  all[0].sym = false;
  all[0].groupSize = 32;
  all[1].actOrder = all[1].staticGroups = true;
  for (const SolverOptions &options : all) {
    const auto factor = solver->factor(hessian, options);
    ASSERT_TRUE(factor.ok()) << factor.status().message();
    const auto gpu = solver->solve(weights, n, k, *factor, options);
    const auto cpu = solveLayer(weights, n, k, hessian, options, Blas::builtin(1), 1);
    ASSERT_TRUE(gpu.ok() && cpu.ok()) << gpu.status().message();
    EXPECT_EQ(gpu->groupIndex, cpu->groupIndex);
    EXPECT_GE(sameCodes(*gpu, *cpu), 0.99);
    EXPECT_NEAR(gpu->loss, cpu->loss, 0.005 * cpu->loss);
    EXPECT_NEAR(gpu->errorBefore, cpu->errorBefore, 1e-3 * cpu->errorBefore);
    EXPECT_NEAR(gpu->errorAfter, cpu->errorAfter, 0.01 * cpu->errorAfter);
  }
}

/// 16-bit weights stay on the device: what is left there is what the codes stand for.
TEST_F(CudaQuantize, LeavesTheQuantizedWeights) {
  const int64_t n = 18, k = 40;
  const Hessian hessian = fixtures::correlatedHessian(k, 3);
  std::vector<uint16_t> bits;
  for (const float value : fixtures::normalValues(n * k, 4))
    bits.push_back(fromFloat(value, DType::BF16));
  const DeviceBuffer weights = *DeviceBuffer::upload(*device, bits);
  const CudaWeights w = {weights.address(), n, k, ElementType::BF16};
  SolverOptions options;
  options.actOrder = true;
  options.groupSize = 32;
  const auto factor = solver->factor(hessian, options);
  ASSERT_TRUE(factor.ok());
  const auto solution = solver->solve(w, *factor, options, &w);
  ASSERT_TRUE(solution.ok()) << solution.status().message();
  std::vector<uint16_t> want;
  for (const float value : solution->dequantize())
    want.push_back(fromFloat(value, DType::BF16));
  EXPECT_EQ(*weights.download<uint16_t>(), want);
}

TEST_F(CudaQuantize, RefusesWhatTheCpuRefuses) {
  const int64_t n = 8, k = 32;
  const Hessian hessian = fixtures::correlatedHessian(k, 3);
  const auto factor = solver->factor(hessian, {});
  ASSERT_TRUE(factor.ok());
  std::vector<uint16_t> bits(size_t(n * k), fromFloat(0.5f, DType::F16));
  bits[size_t(5 * k + 3)] = 0x7c00; // infinity
  const DeviceBuffer weights = *DeviceBuffer::upload(*device, bits);
  const auto solution = solver->solve({weights.address(), n, k, ElementType::F16}, *factor, {});
  EXPECT_EQ(solution.status().code(), Code::InvalidArgument);
  EXPECT_NE(solution.status().message().find("row 5"), std::string::npos)
      << solution.status().message();
  Hessian bad = hessian;
  bad.values[size_t(7 * k + 7)] = INFINITY;
  EXPECT_NE(solver->factor(bad, {}).status().message().find("input channel 7"), std::string::npos);
  EXPECT_EQ(solver->factor(fixtures::correlatedHessian(16, 1), {}).status().code(), Code::Ok);
}

/// The first stages of a block, one layer from an earlier run; with `more`, one stage of the next
/// block and the output layer.
void compare(const Model &model, int stages, bool more, Calibration &actual,
             Calibration &expected) {
  SolverOptions options;
  options.groupSize = 16;
  const TokenRows rows = sim::someRows(2, 24);
  ASSERT_TRUE(expected.begin(rows).ok() && actual.begin(rows).ok());
  for (int64_t index = 0; index < (more ? 2 : 1); ++index) {
    ASSERT_TRUE(expected.enter(index).ok() && actual.enter(index).ok());
    const int first = index == 0 ? 0 : 1, last = index == 0 ? stages : 2;
    const std::array<bool, kStages> wanted = {true, true, true, true};
    ASSERT_TRUE(actual.collect(first, last, wanted).ok());
    ASSERT_TRUE(expected.collect(first, last, wanted).ok());
    for (int stage = first; stage < last; ++stage)
      for (const Role role : rolesOf(model.config(), stage)) {
        SCOPED_TRACE(model.moduleName(index, role));
        const auto ours = actual.solve(role, options), theirs = expected.solve(role, options);
        ASSERT_TRUE(ours.ok() && theirs.ok()) << ours.status().message();
        EXPECT_GE(sameCodes(*ours, *theirs), 0.85);
        EXPECT_NEAR(ours->loss, theirs->loss, 0.1 * theirs->loss);
        if (role != Role::Value)
          continue;
        const auto matrix = toMatrix(*theirs, options, model.folder().activationType());
        ASSERT_TRUE(matrix.ok() && actual.replace(role, *matrix).ok());
      }
    ASSERT_TRUE(expected.leave().ok() && actual.leave().ok());
  }
  if (!more)
    return;
  const Result<OutputHead> head = model.loadHead();
  const auto ours = actual.solveHead(*head, options), theirs = expected.solveHead(*head, options);
  ASSERT_TRUE(ours.ok() && theirs.ok()) << ours.status().message();
  EXPECT_GE(sameCodes(*ours, *theirs), 0.85);
}

TEST_F(CudaQuantize, CalibrationsAreThoseOfTheCpu) {
  const CpuContext cpu = {Blas::builtin(1), 1};
  const auto check = [&](const char *name, size_t freeBytes, int stages, bool more) {
    SCOPED_TRACE(name);
    fake.freeBytes = freeBytes;
    const Result<Model> model = Model::open(dataFolder() / "tiny" / name);
    ASSERT_TRUE(model.ok());
    const auto expected = cpuCalibration(cpu)(*model), actual = calibration()(*model);
    ASSERT_TRUE(expected.ok() && actual.ok()) << actual.status().message();
    compare(*model, stages, more, **actual, **expected);
    EXPECT_GT((*actual)->peakDeviceBytes(), 0);
  };
  check("llama", size_t(1) << 36, kStages, true);
  check("opt", 1000, 2, false);
}

} // namespace
} // namespace gptqc
