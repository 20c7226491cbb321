// The model runner of the GPU on a machine without one: a driver whose memory is the host's,
// kernels on the simulated GPU, a cuBLAS of loops. Perplexities and layer inputs agree with the
// CPU's.
#include <cmath>
#include <map>

#include "runtime/core/Float16.h"
#include "runtime/model/cuda/CudaPerplexity.h"
#include "runtime/solver/quantize/cuda/CudaCalibration.h"
#include "tests/runtime/device/FakeDevice.h"
#include "tests/runtime/model/ModelFolder.h"
#include "tests/sim/Machine.h"
#include "tests/sim/ModelKernels.h"

namespace gptqc {
namespace {

using testing::dataFolder;

std::string findings; ///< of the first launch that was not clean

void body(const void *context) {
  const auto &[kernel, args] =
      *static_cast<const std::pair<sim::ModelKernel, ModelArgs> *>(context);
  kernel(args);
}

int launchInSimulator(const FakeLaunch &fake, const void *args) {
  const sim::ModelKernel kernel = sim::findModelKernel(fake.entry);
  if (!kernel)
    return 500; // CUDA_ERROR_NOT_FOUND
  std::pair<sim::ModelKernel, ModelArgs> context(kernel, ModelArgs());
  std::memcpy(&context.second, args, sizeof(ModelArgs));
  sim::Launch launch;
  launch.kernel = body;
  launch.context = &context;
  launch.grid = {fake.gridX, fake.gridY, fake.gridZ};
  launch.threads = int(fake.threads);
  launch.sharedBytes = fake.shared;
  for (const auto &[address, bytes] : fakeState().memory)
    launch.buffers.push_back({"device memory", reinterpret_cast<uint8_t *>(address), bytes, true});
  const sim::Report report = sim::run(launch);
  if (!report.clean() && findings.empty())
    findings = fake.entry + ": " + report.text();
  return 0;
}

KernelImage modelImage() {
  KernelImage image;
  image.descriptor = "support/model.cu:loss";
  image.target = "sm_90a";
  image.launch.entry = ModelKernels::kEntry;
  image.cubin = {1};
  return image;
}

TokenRows someRows(int64_t rows, int64_t length) {
  TokenRows tokens = {rows, length, {}};
  for (int64_t i = 0; i < rows * length; ++i)
    tokens.ids.push_back(int32_t(i * i * 7 + i * 3) % 64);
  return tokens;
}

class CudaModel : public FakeDevice {
protected:
  void SetUp() override {
    FakeDevice::SetUp();
    fake.launcher = launchInSimulator;
    findings.clear();
  }
  void TearDown() override {
    EXPECT_EQ(findings, "");
    FakeDevice::TearDown();
  }

  Result<Perplexity> onGpu(const Model &model, const TokenRows &rows,
                           const CudaQuantizedLayers &quantized = nullptr,
                           int64_t bytes = 1 << 30) {
    GPTQC_ASSIGN(const std::unique_ptr<CudaForward> forward,
                 CudaForward::create(model, *device, modelImage(), FAKE_CUBLAS));
    return cudaPerplexityOf(*forward, rows, 1, quantized, nullptr, bytes);
  }
};

TEST_F(CudaModel, PerplexitiesAreThoseOfTheCpu) {
  const TokenRows rows = someRows(2, 20);
  const CpuContext cpu = {Blas::builtin(1), 1};
  for (const char *name : {"llama", "llama-yarn", "llama3-tied-bias", "mistral-window", "opt",
                           "qwen2-window", "qwen3"}) {
    const Result<Model> model = Model::open(dataFolder() / "tiny" / name);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const Result<Perplexity> expected = perplexityOf(*model, rows, cpu);
    // Parts of one row.
    const Result<Perplexity> actual = onGpu(*model, rows, nullptr, 20 * model->config().hidden * 4);
    ASSERT_TRUE(expected.ok() && actual.ok()) << name << ": " << actual.status().message();
    const double rounding = model->folder().activationType() == DType::F16 ? 1e-3 : 8e-3;
    EXPECT_NEAR(actual->value, expected->value, rounding * expected->value) << name;
    EXPECT_EQ(actual->predictions, expected->predictions);
  }
}

TEST_F(CudaModel, InputsOfLayersAreThoseOfTheCpu) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama3-tied-bias");
  ASSERT_TRUE(model.ok());
  const TokenRows rows = someRows(2, 9);
  const CpuContext cpu = {Blas::builtin(1), 1};
  Result<Matrix> x = model->embed(rows.ids, {rows.length});
  ASSERT_TRUE(x.ok());
  const Result<Block> block = model->loadBlock(0, 1);
  auto forward = CudaForward::create(*model, *device, modelImage(), FAKE_CUBLAS);
  ASSERT_TRUE(block.ok() && forward.ok()) << forward.status().message();
  const Result<CudaBlock> cudaBlock = (*forward)->loadBlock(0, 1, nullptr);
  ASSERT_TRUE(cudaBlock.ok()) << cudaBlock.status().message();
  const Result<DeviceBuffer> residual = DeviceBuffer::upload(*device, x->values);
  ASSERT_TRUE(residual.ok());
  BlockPass expected(cpu, model->config(), *block, {rows.length}, x->ref());
  CudaBlockPass actual(**forward, *cudaBlock, residual->address(), x->rows, rows.length);
  ASSERT_TRUE(actual.begin().ok());
  const DType type = (*forward)->type();
  for (; !expected.done(); expected.advance()) {
    const MatrixRef<const float> input = expected.input();
    const DeviceMatrix &cudaInput = actual.input();
    ASSERT_EQ(cudaInput.rows, input.rows);
    ASSERT_EQ(cudaInput.columns, input.columns);
    const auto *bits = reinterpret_cast<const uint16_t *>(cudaInput.data);
    double error = 0, norm = 0;
    for (int64_t i = 0; i < input.rows; ++i)
      for (int64_t j = 0; j < input.columns; ++j) {
        const double value = toFloat(bits[i * cudaInput.stride + j], type);
        error += (value - input.at(i, j)) * (value - input.at(i, j));
        norm += double(input.at(i, j)) * input.at(i, j);
      }
    EXPECT_LT(std::sqrt(error / norm), type == DType::F16 ? 2e-3 : 1.5e-2)
        << "stage " << expected.currentStage();
    ASSERT_TRUE(actual.advance().ok());
  }
  EXPECT_TRUE(actual.done());
}

double relativeError(const Hessian &actual, const Hessian &expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    error += std::pow(double(actual.values[i]) - expected.values[i], 2);
    norm += std::pow(double(expected.values[i]), 2);
  }
  return std::sqrt(error / norm);
}

TEST_F(CudaModel, HessiansAreThoseOfTheCpu) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/qwen3");
  ASSERT_TRUE(model.ok());
  const TokenRows rows = someRows(2, 12);
  const CpuContext cpu = {Blas::builtin(1), 1};
  const auto reference = cpuCalibration(cpu)(*model);
  const auto tested = cudaCalibration(*device, modelImage(), FAKE_CUBLAS)(*model);
  ASSERT_TRUE(reference.ok() && tested.ok()) << tested.status().message();
  Calibration &expected = **reference, &actual = **tested;
  ASSERT_TRUE(expected.begin(rows).ok() && actual.begin(rows).ok());
  for (int64_t index = 0; index < model->config().blocks; ++index) {
    Result<Block> block = model->loadBlock(index, 1);
    ASSERT_TRUE(block.ok());
    ASSERT_TRUE(expected.enter(*block).ok() && actual.enter(*block).ok());
    for (float &value : block->at(Role::Up).weight.values) // as if it had been quantized
      value *= 0.5f;
    ASSERT_TRUE(expected.replace(Role::Up).ok() && actual.replace(Role::Up).ok());
    // As in whole-block and in true-sequential runs.
    for (const auto &[first, last] : {std::pair(0, 4), std::pair(2, 3)}) {
      const std::array<bool, kStages> wanted = {true, false, true, true};
      const auto ours = actual.collect(first, last, wanted);
      const auto theirs = expected.collect(first, last, wanted);
      ASSERT_TRUE(ours.ok() && theirs.ok()) << ours.status().message();
      for (int stage = 0; stage < kStages; ++stage) {
        const auto &sum = (*ours)[size_t(stage)], &other = (*theirs)[size_t(stage)];
        ASSERT_EQ(sum.has_value(), wanted[size_t(stage)] && stage >= first && stage < last);
        ASSERT_EQ(sum.has_value(), other.has_value());
        if (!sum)
          continue;
        EXPECT_EQ(sum->tokens, 24);
        EXPECT_EQ(sum->k, other->k);
        EXPECT_LT(relativeError(*sum, *other), 1e-2) << "block " << index << " stage " << stage;
        EXPECT_TRUE(validate(*sum).ok());
      }
    }
    ASSERT_TRUE(expected.leave().ok() && actual.leave().ok());
  }
  const Result<OutputHead> head = model->loadHead();
  const auto ours = actual.headHessian(*head), theirs = expected.headHessian(*head);
  ASSERT_TRUE(ours.ok() && theirs.ok()) << ours.status().message();
  EXPECT_LT(relativeError(*ours, *theirs), 1e-2);
}

/// Quantized layers come with their codes and go through what the caller makes of them.
TEST_F(CudaModel, QuantizedLayersAreTheCallers) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  int layers = 0;
  const CudaQuantizedLayers none = [&](const QuantizedMatrix &) -> Result<CudaProduct> {
    ++layers;
    return Status(Code::Unsupported, "not here");
  };
  EXPECT_TRUE(onGpu(*model, someRows(1, 4), none).ok());
  EXPECT_EQ(layers, 0) << "a dense model has none";
}

TEST_F(CudaModel, Errors) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(onGpu(*model, {1, 2, {1, 2000}}).status().code(), Code::InvalidArgument);
  EXPECT_EQ(onGpu(*model, {2, 1, {1, 2}}).status().code(), Code::InvalidArgument);
  const auto absent = CudaForward::create(*model, *device, modelImage(), "/no/libcublas.so");
  EXPECT_EQ(absent.status().code(), Code::NotFound) << absent.status().message();
  fake.failing = "cuLaunchKernel";
  fake.failure = 700;
  EXPECT_EQ(onGpu(*model, someRows(1, 4)).status().code(), Code::DeviceError);
}

} // namespace
} // namespace gptqc
