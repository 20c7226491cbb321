// The C interface on real GPUs, with libgptqc_compiler: the shares of tensor-parallel ranks add up
// exactly, chains in a graph repeat to the bit, threads and GPUs do not disturb each other, and a
// call costs little. Skipped without a GPU, except with GPTQC_REQUIRE_GPU set; what needs two GPUs
// says so.
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "gptqc/compiler.h"
#include "gptqc/gptqc.hpp"
#include "runtime/checkpoint/GptqWords.h"
#include "runtime/core/Statistics.h"
#include "runtime/device/DeviceBuffer.h"
#include "runtime/device/Module.h"
#include "tests/runtime/dispatch/ExactLayer.h"

namespace {

using gptqc::DeviceBuffer;
using gptqc::exactLayer;
using gptqc::ExactSpec;
using gptqc::QuantizedMatrix;
using Halves = std::vector<uint16_t>;

/// The layer as the tensors of a v2 file.
struct Tensors {
  explicit Tensors(const QuantizedMatrix &layer)
      : words(packRows(gptqc::Packing::Continuous, layer.descriptor.bits, layer.descriptor.k,
                       layer.descriptor.n, layer.codes)),
        scales(layer.scales), groupIndex(layer.groupIndex), bias(layer.bias) {
    const gptqc::Descriptor &d = layer.descriptor;
    if (!layer.zeros.empty())
      zeros = packZeros(gptqc::Packing::Continuous, d.bits, layer.groups, d.n, layer.zeros, false);
    tensors.struct_size = sizeof tensors;
    tensors.bits = d.bits;
    tensors.n = d.n, tensors.k = d.k, tensors.groups = layer.groups;
    tensors.group_size = d.groupSize;
    tensors.qweight = words.data(), tensors.scales = scales.data();
    tensors.qzeros = zeros.empty() ? nullptr : zeros.data();
    tensors.g_idx = groupIndex.empty() ? nullptr : groupIndex.data();
    tensors.bias = bias.empty() ? nullptr : bias.data();
  }
  std::vector<uint32_t> words, zeros;
  Halves scales;
  std::vector<int32_t> groupIndex;
  Halves bias;
  gptqc_tensors tensors = {};
};

/// A GPU, and the context of the C interface on it.
struct Gpu {
  Gpu(int ordinal, const gptqc::context_options &options)
      : device(*gptqc::Device::open(ordinal)), context(options),
        stream(*gptqc::Stream::create(device)) {}
  gptqc::Device device;
  gptqc::context context;
  gptqc::Stream stream;
};

/// A linear with memory for m tokens, on a stream of its own.
struct Runner {
  Runner(Gpu &gpu, const gptqc::linear &linear, int64_t m, int64_t outputs)
      : linear(&linear), m(m), k(int64_t(linear.input_columns().size())), outputs(outputs),
        stream(*gptqc::Stream::create(gpu.device)) {
    linear.prepare(m, m);
    x = *DeviceBuffer::allocateZeroed(gpu.device, m * k * 2);
    y = *DeviceBuffer::allocateZeroed(gpu.device, m * outputs * 2);
    workspace = *DeviceBuffer::allocateZeroed(gpu.device, linear.workspace(m));
    gpu.context.init_workspace(workspace.address(), workspace.bytes(), stream.handle());
  }
  void launch() const {
    linear->run(x.address(), k, m, y.address(), outputs, workspace.address(), workspace.bytes(),
                stream.handle());
  }
  Halves run(const Halves &input) {
    EXPECT_TRUE(x.write(input.data(), int64_t(input.size() * 2)).ok());
    EXPECT_TRUE(y.fill(0xff, stream).ok()); // NaN
    launch();
    EXPECT_TRUE(stream.synchronize().ok());
    return *y.download<uint16_t>();
  }
  const gptqc::linear *linear;
  int64_t m, k, outputs;
  gptqc::Stream stream;
  DeviceBuffer x, y, workspace;
};

gptqc_linear_options columnShare(int rank, int ranks) {
  gptqc_linear_options share = gptqc::linear_options();
  share.n_rank = rank, share.n_ranks = ranks;
  return share;
}

gptqc_linear_options rowShare(int rank, int ranks) {
  gptqc_linear_options share = gptqc::linear_options();
  share.k_rank = rank, share.k_ranks = ranks, share.x_is_permuted = 1;
  return share;
}

class CApiGpu : public testing::Test {
protected:
  void SetUp() override {
    const auto count = gptqc::Device::count();
    if (!count.ok() || *count == 0) {
      const std::string reason = count.ok() ? "no GPU" : count.status().message();
      if (std::getenv("GPTQC_REQUIRE_GPU"))
        FAIL() << reason;
      GTEST_SKIP() << reason;
    }
    gptqc_compiler_options none = {};
    none.struct_size = sizeof none;
    none.cache = "";
    gptqc::check(gptqc_compiler_open(&none, &compiler));
    for (int ordinal = 0; ordinal < std::min(*count, 2); ++ordinal) {
      gptqc::context_options options;
      options.device = ordinal;
      options.use_cache = false;
      options.compiler = &compiler;
      gpus.push_back(std::make_unique<Gpu>(ordinal, options));
    }
  }
  void TearDown() override {
    gpus.clear();
    gptqc_compiler_close(&compiler);
  }
  Gpu &gpuOf(int rank) { return *gpus[size_t(rank) % gpus.size()]; }

  void checkColumnShares(const QuantizedMatrix &layer, int ranks, int64_t m, const Halves &x,
                         const std::vector<double> &want);
  void checkRowShares(const QuantizedMatrix &layer, int ranks, int64_t m, const Halves &x,
                      const std::vector<double> &want);
  void runInThreads(int64_t perGpu);

  gptqc_compiler compiler = {};
  std::vector<std::unique_ptr<Gpu>> gpus;
};

void CApiGpu::checkColumnShares(const QuantizedMatrix &layer, int ranks, int64_t m, const Halves &x,
                                const std::vector<double> &want) {
  const Tensors tensors(layer);
  const int64_t n = layer.descriptor.n, part = n / ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    const gptqc::linear linear(gpuOf(rank).context, {tensors.tensors}, columnShare(rank, ranks));
    const std::vector<double> y = gptqc::numbersOf(Runner(gpuOf(rank), linear, m, part).run(x));
    for (int64_t row = 0; row < m; ++row)
      for (int64_t i = 0; i < part; ++i)
        ASSERT_EQ(y[size_t(row * part + i)], want[size_t(row * n + rank * part + i)])
            << linear.descriptor() << ", rank " << rank << ", token " << row << ", output " << i;
  }
}

void CApiGpu::checkRowShares(const QuantizedMatrix &layer, int ranks, int64_t m, const Halves &x,
                             const std::vector<double> &want) {
  const Tensors tensors(layer);
  std::vector<double> sum(want.size());
  for (int rank = 0; rank < ranks; ++rank) {
    const gptqc::linear linear(gpuOf(rank).context, {tensors.tensors}, rowShare(rank, ranks));
    const Halves own = gptqc::gatherColumns(x, layer.descriptor.k, linear.input_columns());
    const Halves y = Runner(gpuOf(rank), linear, m, layer.descriptor.n).run(own);
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] += gptqc::halfToFloat(y[i]);
  }
  ASSERT_EQ(sum, want) << layer.descriptor.print() << " in " << ranks << " shares of K";
}

TEST_F(CApiGpu, SharesAddUpExactly) {
  fmt::print("{} GPU(s)\n", gpus.size());
  for (const ExactSpec &spec :
       {ExactSpec{.n = 512, .k = 1024, .sym = true},
        ExactSpec{.n = 512, .k = 1024, .actOrder = true, .bias = true},
        ExactSpec{.bits = 3, .n = 256, .k = 1024, .groupSize = 128, .actOrder = true},
        ExactSpec{.bits = 8, .n = 256, .k = 768, .groupSize = 32, .bias = true}}) {
    const QuantizedMatrix layer = exactLayer(spec);
    for (const int64_t m : {1, 40}) {
      const Halves x = gptqc::exactInputs(m, spec.k, unsigned(m));
      const std::vector<double> want = exactOutputs(layer, gptqc::numbersOf(x));
      for (const int ranks : {1, 2, 4}) {
        ASSERT_NO_FATAL_FAILURE(checkColumnShares(layer, ranks, m, x, want));
        ASSERT_NO_FATAL_FAILURE(checkRowShares(layer, ranks, m, x, want));
      }
    }
  }
}

/// Rows of `whole`, in that order, as a layer of its own.
QuantizedMatrix pickOutputs(const QuantizedMatrix &whole, const std::vector<int32_t> &outputs) {
  const int64_t n = whole.descriptor.n;
  std::vector<uint8_t> codes, zeros;
  Halves scales;
  for (int64_t k = 0; k < whole.descriptor.k; ++k)
    for (const int32_t i : outputs)
      codes.push_back(whole.codes[size_t(k * n + i)]);
  for (int64_t g = 0; g < whole.groups; ++g)
    for (const int32_t i : outputs) {
      scales.push_back(whole.scales[size_t(g * n + i)]);
      zeros.push_back(uint8_t(whole.zeroAt(g, i)));
    }
  gptqc::LayerCodes layer;
  layer.bits = whole.descriptor.bits;
  layer.n = int64_t(outputs.size()), layer.k = whole.descriptor.k;
  layer.groupSize = whole.descriptor.groupSize;
  layer.codes = codes, layer.zeros = zeros, layer.scales = scales;
  layer.groupIndex = whole.groupIndex;
  return *layerFromCodes(layer);
}

// gate and up make just the features that a rank's share of an act-order down reads, in its order:
// the permutation costs nothing when the layers run.
TEST_F(CApiGpu, AnMlpWhosePermutationIsFoldedIntoItsProducer) {
  constexpr int64_t kHidden = 512, kMlp = 1024, kTokens = 16;
  constexpr int kRanks = 2;
  const QuantizedMatrix gate = exactLayer({.n = kMlp, .k = kHidden, .seed = 2, .unit = 0x1p-7F});
  const QuantizedMatrix up = exactLayer({.n = kMlp, .k = kHidden, .seed = 3, .unit = 0x1p-7F});
  const QuantizedMatrix down =
      exactLayer({.n = kHidden, .k = kMlp, .actOrder = true, .seed = 4, .unit = 0x1p-7F});
  const Halves x = gptqc::exactInputs(kTokens, kHidden, 5);
  std::vector<double> middle = exactOutputs(gate, gptqc::numbersOf(x));
  const std::vector<double> ups = exactOutputs(up, gptqc::numbersOf(x));
  for (size_t i = 0; i < middle.size(); ++i)
    middle[i] *= ups[i] / (1 + std::exp(-middle[i]));
  const std::vector<double> want = exactOutputs(down, middle);

  std::vector<double> sum(want.size());
  gptqc_linear_options gated = gptqc::linear_options();
  gated.silu_mul = 1;
  for (int rank = 0; rank < kRanks; ++rank) {
    Gpu &gpu = gpuOf(rank);
    const Tensors downTensors(down);
    const gptqc::linear last(gpu.context, {downTensors.tensors}, rowShare(rank, kRanks));
    const Tensors gateShare(pickOutputs(gate, last.input_columns()));
    const Tensors upShare(pickOutputs(up, last.input_columns()));
    const gptqc::linear first(gpu.context, {gateShare.tensors, upShare.tensors}, gated);
    const Halves hidden = Runner(gpu, first, kTokens, kMlp / kRanks).run(x);
    const Halves y = Runner(gpu, last, kTokens, kHidden).run(hidden);
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] += gptqc::halfToFloat(y[i]);
  }
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (sum[i] - want[i]) * (sum[i] - want[i]);
    size += want[i] * want[i];
  }
  EXPECT_LT(std::sqrt(error / size), 2e-3);
}

// The weights' size keeps that of the activations.
TEST_F(CApiGpu, AGraphOf200LayersRepeatsToTheBit) {
  constexpr int kLayers = 200, kDistinct = 8, kReplays = 50;
  constexpr int64_t kSize = 1024;
  Gpu &gpu = *gpus[0];
  std::vector<gptqc::linear> linears;
  std::vector<Tensors> distinct;
  for (unsigned i = 0; i < kDistinct; ++i)
    distinct.emplace_back(exactLayer({.n = kSize,
                                      .k = kSize,
                                      .groupSize = 128,
                                      .sym = true,
                                      .seed = i,
                                      .unit = 0.0045756F})); // 1 / sqrt(K) in the mean
  for (size_t i = 0; i < kLayers; ++i)
    linears.emplace_back(gpu.context, std::vector<gptqc_tensors>{distinct[i % kDistinct].tensors});
  for (const int64_t m : {1, 16}) {
    Runner runner(gpu, linears[0], m, kSize);
    const DeviceBuffer other = *DeviceBuffer::allocateZeroed(gpu.device, m * kSize * 2);
    const auto chain = [&] {
      uint64_t from = runner.x.address(), to = other.address();
      for (const gptqc::linear &linear : linears) {
        linear.run(from, kSize, m, to, kSize, runner.workspace.address(), runner.workspace.bytes(),
                   runner.stream.handle());
        from = to;
        to = from == other.address() ? runner.y.address() : other.address();
      }
      return gptqc::Status();
    };
    for (const gptqc::linear &linear : linears)
      linear.prepare(m, m);
    const Halves x = gptqc::exactInputs(m, kSize, 9);
    ASSERT_TRUE(runner.x.write(x.data(), runner.x.bytes()).ok());
    ASSERT_TRUE(chain().ok());
    ASSERT_TRUE(runner.stream.synchronize().ok());
    const Halves eager = *runner.y.download<uint16_t>(); // an even number of layers ends in y
    for (const uint16_t value : eager)
      ASSERT_NE(value & 0x7c00, 0x7c00) << "not finite";
    EXPECT_NE(eager, Halves(eager.size()));
    const auto graph = gptqc::Graph::capture(runner.stream, chain);
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    const auto start = std::chrono::steady_clock::now();
    for (int replay = 0; replay < kReplays; ++replay)
      ASSERT_TRUE(graph->launch(runner.stream).ok());
    ASSERT_TRUE(runner.stream.synchronize().ok());
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    for (int replay = 0; replay < kReplays; ++replay) {
      ASSERT_TRUE(runner.y.fill(0xff, runner.stream).ok());
      ASSERT_TRUE(graph->launch(runner.stream).ok());
      ASSERT_TRUE(runner.stream.synchronize().ok());
      ASSERT_EQ(*runner.y.download<uint16_t>(), eager) << "replay " << replay;
    }
    fmt::print("m = {}: {} layers replayed {} times with the same bits, {:.2f} us a layer\n", m,
               kLayers, kReplays, time.count() / kReplays / kLayers);
  }
}

/// One layer on each GPU, run by `perGpu` threads at once with token counts of several kernels.
void CApiGpu::runInThreads(int64_t perGpu) {
  const QuantizedMatrix layer = exactLayer({.n = 2048, .k = 2048, .actOrder = true});
  const Tensors tensors(layer);
  std::vector<gptqc::linear> linears;
  for (const auto &gpu : gpus) {
    linears.emplace_back(gpu->context, std::vector<gptqc_tensors>{tensors.tensors});
    linears.back().prepare(1, 64);
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0, runs = 0;
  for (size_t i = 0; i < linears.size() * size_t(perGpu); ++i)
    threads.emplace_back([&, i] {
      const size_t own = i % linears.size();
      const int64_t m = std::vector<int64_t>{1, 7, 16, 64}[i / linears.size() % 4];
      const Halves x = gptqc::exactInputs(m, 2048, unsigned(i));
      const std::vector<double> want = exactOutputs(layer, gptqc::numbersOf(x));
      Runner runner(*gpus[own], linears[own], m, 2048);
      for (int round = 0; round < 100; ++round, ++runs)
        wrong += gptqc::numbersOf(runner.run(x)) != want;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  fmt::print("{} threads on {} GPU(s), {} runs, all exact\n", threads.size(), gpus.size(),
             runs.load());
}

TEST_F(CApiGpu, ThreadsOnOneGpu) {
  gpus.resize(1);
  runInThreads(8);
}

TEST_F(CApiGpu, ThreadsOnTwoGpus) {
  if (gpus.size() < 2)
    GTEST_SKIP() << "there is one GPU; this needs two";
  runInThreads(4);
}

/// Host time of a call, microseconds: the median of batches that the launch queue holds.
double hostMicroseconds(const gptqc::Stream &stream, const std::function<void()> &call) {
  constexpr int kBatches = 400, kCalls = 250; // 1e5 calls
  std::vector<double> times;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i)
      call();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    times.push_back(time.count() / kCalls);
    EXPECT_TRUE(stream.synchronize().ok());
  }
  return gptqc::median(times);
}

TEST_F(CApiGpu, ARunCostsOneMicrosecondMoreThanAnEmptyLaunch) {
  Gpu &gpu = *gpus[0];
  gptqc_image image = {};
  gptqc::check(compiler.compile_support(compiler.user, "support/empty.cu", "empty_kernel",
                                        gpu.context.target().c_str(), &image));
  const auto kernel = gptqc::KernelImage::deserialize(image.data, image.size, "empty");
  if (image.release)
    image.release(&image);
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  const gptqc::Module module = *gptqc::Module::load(gpu.device, *kernel);
  const gptqc::Function empty = *module.function("empty_kernel");
  const Tensors tensors(exactLayer({.n = 64, .k = 64, .sym = true}));
  const gptqc::linear linear(gpu.context, {tensors.tensors});
  const Runner runner(gpu, linear, 1, 64);
  const int unused = 0;
  const double bare = hostMicroseconds(
      runner.stream, [&] { EXPECT_TRUE(empty.launch({}, 32, &unused, runner.stream).ok()); });
  const double run = hostMicroseconds(runner.stream, [&] { runner.launch(); });
  fmt::print("1e5 calls of gptqc_linear_run: {:.2f} us each, of a bare empty launch {:.2f} us, "
             "over it {:.2f} us\n",
             run, bare, run - bare);
  EXPECT_LE(run - bare, 1);
}

} // namespace
