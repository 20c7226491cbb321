// The model runner of the GPU on a machine without one: a driver whose memory is the host's,
// kernels on the simulated GPU, a cuBLAS of loops. Perplexities and layer inputs agree with the
// CPU's.
#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/model/cuda/CudaPerplexity.h"
#include "tests/runtime/model/ModelFolder.h"
#include "tests/sim/FakeLauncher.h"

namespace gptqc {
namespace {

using fixtures::dataFolder;

class CudaModel : public sim::SimulatedDevice {
protected:
  Result<Perplexity> onGpu(const Model &model, const TokenRows &rows,
                           const CudaQuantizedLayers &quantized = nullptr,
                           int64_t bytes = 1 << 30) {
    GPTQC_ASSIGN(const std::unique_ptr<CudaForward> forward,
                 CudaForward::create(model, *device, sim::modelImage(), FAKE_CUBLAS));
    return cudaPerplexityOf(*forward, rows, 1, quantized, nullptr, bytes);
  }
};

TEST_F(CudaModel, PerplexitiesAreThoseOfTheCpu) {
  const TokenRows rows = sim::someRows(2, 20);
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
  const TokenRows rows = sim::someRows(2, 9);
  const CpuContext cpu = {Blas::builtin(1), 1};
  Result<Matrix> x = model->embed(rows.ids, {rows.length});
  ASSERT_TRUE(x.ok());
  const Result<Block> block = model->loadBlock(0, 1);
  auto forward = CudaForward::create(*model, *device, sim::modelImage(), FAKE_CUBLAS);
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

/// Quantized layers come with their codes and go through what the caller makes of them.
TEST_F(CudaModel, QuantizedLayersAreTheCallers) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  int layers = 0;
  const CudaQuantizedLayers none = [&](const QuantizedMatrix &) -> Result<CudaProduct> {
    ++layers;
    return Status(Code::Unsupported, "not here");
  };
  EXPECT_TRUE(onGpu(*model, sim::someRows(1, 4), none).ok());
  EXPECT_EQ(layers, 0) << "a dense model has none";
}

TEST_F(CudaModel, Errors) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(onGpu(*model, {1, 2, {1, 2000}}).status().code(), Code::InvalidArgument);
  EXPECT_EQ(onGpu(*model, {2, 1, {1, 2}}).status().code(), Code::InvalidArgument);
  const auto absent = CudaForward::create(*model, *device, sim::modelImage(), "/no/libcublas.so");
  EXPECT_EQ(absent.status().code(), Code::NotFound) << absent.status().message();
  fake.failing = "cuLaunchKernel";
  fake.failure = 700;
  EXPECT_EQ(onGpu(*model, sim::someRows(1, 4)).status().code(), Code::DeviceError);
}

} // namespace
} // namespace gptqc
