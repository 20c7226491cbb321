// Text generation of the GPU on a machine without one (CudaModelTest.cpp): the CPU's logits and
// tokens, with keys and values that stay on the device.
#include <cmath>
#include <set>

#include "runtime/checkpoint/QuantizeModel.h"
#include "runtime/core/Float16.h"
#include "runtime/model/cuda/CudaSequence.h"
#include "tests/runtime/model/ModelFolder.h"
#include "tests/sim/FakeLauncher.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

using fixtures::dataFolder;

const CpuContext &oneThread() {
  static const CpuContext cpu = {Blas::builtin(1), 1};
  return cpu;
}

class CudaGenerate : public sim::SimulatedDevice {
protected:
  std::unique_ptr<CudaForward> forwardOf(const Model &model) {
    auto forward = CudaForward::create(model, *device, sim::modelImage(), FAKE_CUBLAS);
    EXPECT_TRUE(forward.ok()) << forward.status().message();
    return std::move(*forward);
  }

  /// Quantized layers on the CPU executor, from and to the fake device's memory.
  CudaQuantizedLayers onTheHost(DType type) {
    return [this, type](const QuantizedMatrix &matrix) -> Result<CudaProduct> {
      GPTQC_ASSIGN(const auto layer, PackedLinear::create(matrix));
      ++quantized;
      return CudaProduct([=, this](const DeviceMatrix &x, const DeviceMatrix &y) {
        tokenCounts.insert(x.rows);
        const auto *in = reinterpret_cast<const uint16_t *>(x.data);
        auto *out = reinterpret_cast<uint16_t *>(y.data);
        Matrix from(x.rows, x.columns), to(y.rows, y.columns);
        for (int64_t i = 0; i < x.rows; ++i)
          for (int64_t j = 0; j < x.columns; ++j)
            from.ref().at(i, j) = toFloat(in[i * x.stride + j], type);
        layer->run(from.ref(), to.ref(), 1);
        for (int64_t i = 0; i < y.rows; ++i)
          for (int64_t j = 0; j < y.columns; ++j)
            out[i * y.stride + j] = fromFloat(to.ref().at(i, j), type);
        return Status();
      });
    };
  }

  /// Continues the prompt on both; the tokens and, on the GPU, allocations are checked.
  void compare(const Model &model, int64_t prompt, const GenerateOptions &options) {
    const std::vector<int32_t> ids = sim::someRows(1, prompt).ids;
    const Result<Generated> expected =
        generate(model, ids, options, cpuSequences(model, oneThread()));
    const std::unique_ptr<CudaForward> forward = forwardOf(model);
    const SequenceFactory sequences = [&](const SequencePlan &plan) {
      return makeCudaSequence(*forward, plan, 1, onTheHost(forward->type()));
    };
    std::vector<int64_t> allocations;
    const Result<Generated> actual = generate(model, ids, options, sequences, [&](int32_t) {
      allocations.push_back(fake.allocationCalls);
      return true;
    });
    ASSERT_TRUE(expected.ok() && actual.ok()) << actual.status().message();
    EXPECT_EQ(actual->tokens, expected->tokens);
    ASSERT_EQ(int64_t(allocations.size()), options.maxTokens);
    EXPECT_EQ(allocations.front(), allocations.back()) << "no memory is taken for a token";
  }

  int quantized = 0;             ///< layers
  std::set<int64_t> tokenCounts; ///< that they were run with
};

GenerateOptions tokens(int64_t count) {
  GenerateOptions options;
  options.maxTokens = count;
  options.stopAtEnd = false;
  return options;
}

/// A prompt in two pieces, then tokens one by one, as far as the second tile of keys.
TEST_F(CudaGenerate, LogitsAreThoseOfTheCpu) {
  for (const char *name : {"llama-yarn", "llama3-tied-bias", "mistral-window", "opt", "qwen3"}) {
    const Result<Model> model = Model::open(dataFolder() / "tiny" / name);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const std::unique_ptr<CudaForward> forward = forwardOf(*model);
    const std::vector<int64_t> pieces = {50, 12, 1};
    const std::vector<int32_t> ids = sim::someRows(1, 64).ids;
    const auto expected = cpuSequences(*model, oneThread())({64, pieces});
    const auto actual = makeCudaSequence(*forward, {64, pieces}, 1, nullptr);
    ASSERT_TRUE(expected.ok() && actual.ok()) << actual.status().message();
    for (size_t first = 0, piece = 0; first < ids.size(); ++piece) {
      const auto count = size_t(piece < 2 ? pieces[piece] : 1);
      const std::span<const int32_t> part = std::span(ids).subspan(first, count);
      first += count;
      const auto want = (*expected)->append(part), got = (*actual)->append(part);
      ASSERT_TRUE(want.ok() && got.ok()) << got.status().message();
      double error = 0, norm = 0;
      for (size_t i = 0; i < want->size(); ++i) {
        error += ((*got)[i] - (*want)[i]) * ((*got)[i] - (*want)[i]);
        norm += (*want)[i] * (*want)[i];
      }
      EXPECT_LT(std::sqrt(error / norm), forward->type() == DType::F16 ? 6e-3 : 4e-2)
          << name << ", token " << first;
    }
    EXPECT_EQ((*actual)->append({ids.data(), 1}).status().code(), Code::InvalidArgument);
  }
}

TEST_F(CudaGenerate, BundledModelsSayWhatTheySayOnTheCpu) {
  const fixtures::TempFolder folder;
  for (const char *name : {"docs-llama-7m", "docs-opt-5m"}) {
    SCOPED_TRACE(name);
    const std::filesystem::path source = dataFolder() / "models" / name;
    const Result<Model> dense = Model::open(source);
    ASSERT_TRUE(dense.ok());
    compare(*dense, 3, tokens(4));
    EXPECT_EQ(quantized, 0) << "a dense model has none";
    QuantizeOptions options;
    options.bits = 4;
    ASSERT_TRUE(quantizeModel(source, folder / name, options, nullptr).ok());
    const Result<Model> packed = Model::open(folder / name);
    ASSERT_TRUE(packed.ok() && packed->quantized());
    compare(*packed, 5, tokens(4));
    EXPECT_EQ(quantized, int(packed->quantizedLayers().layers().size()));
    EXPECT_EQ(tokenCounts, (std::set<int64_t>{1, 5})) << "the prompt, and token by token";
    quantized = 0;
    tokenCounts.clear();
  }
}

TEST_F(CudaGenerate, SamplesWhatTheCpuSamples) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  GenerateOptions options = tokens(8); // far more of them, and rounding decides once
  options.sampling = {1.2f, 0.9f, 3};
  compare(*model, 1, options);
}

TEST_F(CudaGenerate, Errors) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/opt");
  ASSERT_TRUE(model.ok());
  const std::unique_ptr<CudaForward> forward = forwardOf(*model);
  const auto run = [&](const std::vector<int32_t> &prompt) {
    return generate(*model, prompt, tokens(9), [&](const SequencePlan &plan) {
      return makeCudaSequence(*forward, plan, 1, nullptr);
    });
  };
  fixtures::expectError(run(std::vector<int32_t>(65, 7)).status(), Code::InvalidArgument,
                        "65 tokens: the model has learned 64 positions");
  fixtures::expectError(run({1, 99}).status(), Code::InvalidArgument, "token id 99");
  EXPECT_EQ(run(std::vector<int32_t>(60, 7))->tokens.size(), 5U);
  fake.failing = "cuMemAlloc_v2";
  fake.failure = 2; // CUDA_ERROR_OUT_OF_MEMORY
  fixtures::expectError(run({1}).status(), Code::DeviceError, "tiny/opt: ");
}

} // namespace
} // namespace gptqc
