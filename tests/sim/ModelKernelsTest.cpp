// templates/support/model.cu on the simulated GPU, against naive double arithmetic: odd sizes, both
// types, every access and barrier watched.
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "runtime/core/Float16.h"
#include "tests/sim/KernelTable.h"
#include "tests/sim/Machine.h"

namespace gptqc::sim {
namespace {

constexpr uint16_t kPoison = 0xffff;

struct ModelCall {
  ModelKernel kernel;
  ModelArgs args;
  Dim3 grid;
  int threads = kModelThreads;
  size_t sharedBytes = 0;
  std::vector<Buffer> buffers;
};

void body(const void *context) {
  const ModelCall &call = *static_cast<const ModelCall *>(context);
  call.kernel(call.args);
}

testing::AssertionResult runsOnce(const ModelCall &call, bool backwards = false) {
  Launch launch;
  launch.kernel = body;
  launch.context = &call;
  launch.grid = call.grid;
  launch.threads = call.threads;
  launch.sharedBytes = call.sharedBytes;
  launch.buffers = call.buffers;
  launch.backwards = backwards;
  const Report report = run(launch);
  return report.clean() ? testing::AssertionSuccess()
                        : testing::AssertionFailure() << report.text();
}

/// In both orders of the threads; the kernel does not work in place.
testing::AssertionResult runs(const ModelCall &call) {
  const testing::AssertionResult forwards = runsOnce(call);
  return forwards ? runsOnce(call, true) : forwards;
}

class ModelKernels : public testing::TestWithParam<DType> {
protected:
  DType type = GetParam();
  std::mt19937 random{7};

  std::vector<float> floats(size_t count, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(count);
    for (float &value : values)
      value = normal(random);
    return values;
  }
  std::vector<uint16_t> halves(size_t count, float scale = 1) {
    std::vector<uint16_t> values;
    for (const float value : floats(count, scale))
      values.push_back(fromFloat(value, type));
    return values;
  }
  double value(uint16_t bits) const { return toFloat(bits, type); }
  /// Half a unit in the last place of the type, and some for fp32 and fast functions.
  void expectNear(uint16_t actual, double expected, double scale = 1) const {
    const double unit = type == DType::F16 ? 1.0 / 2048 : 1.0 / 256;
    EXPECT_NEAR(value(actual), expected, unit * (std::abs(expected) * 1.05 + 1e-3 * scale));
  }

  template <typename T> static uint64_t address(const std::vector<T> &values) {
    return reinterpret_cast<uint64_t>(values.data());
  }
  template <typename T>
  static Buffer buffer(const char *name, std::vector<T> &values, bool writable = false) {
    return {name, reinterpret_cast<uint8_t *>(values.data()), values.size() * sizeof(T), writable,
            true};
  }
  ModelKernel pick(const std::string &name) const {
    return findModelKernel(name + (type == DType::F16 ? "_f16" : "_bf16"));
  }
};

TEST_P(ModelKernels, Norm) {
  constexpr int kRows = 3, kColumns = 200;
  for (const bool layerNorm : {false, true}) {
    std::vector<float> residual = floats(kRows * kColumns), weight = floats(kColumns),
                       bias = floats(kColumns);
    const std::vector<float> before = residual;
    std::vector<uint16_t> delta = halves(kRows * kColumns), y(kRows * kColumns, kPoison);
    ModelCall call;
    call.kernel = pick("norm");
    call.args.residual = address(residual);
    call.args.weight = address(weight);
    call.args.bias = layerNorm ? address(bias) : 0;
    call.args.layerNorm = layerNorm;
    call.args.y = address(y);
    call.args.xStride = call.args.yStride = kColumns;
    call.args.columns = kColumns;
    call.args.epsilon = 1e-5f;
    call.grid.x = kRows;
    call.threads = layerNorm ? 224 : kModelThreads;
    call.sharedBytes = size_t(call.threads) / 8;
    call.buffers = {buffer("residual", residual, true), buffer("delta", delta),
                    buffer("weight", weight), buffer("bias", bias), buffer("y", y, true)};
    ASSERT_TRUE(runs(call));
    for (int row = 0; row < kRows; ++row) {
      const float *x = &before[size_t(row) * kColumns];
      double mean = 0, squares = 0;
      for (int i = 0; layerNorm && i < kColumns; ++i)
        mean += double(x[i]) / kColumns;
      for (int i = 0; i < kColumns; ++i)
        squares += (x[i] - mean) * (x[i] - mean) / kColumns;
      for (int i = 0; i < kColumns; ++i)
        expectNear(y[size_t(row) * kColumns + size_t(i)],
                   (x[i] - mean) / std::sqrt(squares + 1e-5) * weight[size_t(i)] +
                       (layerNorm ? bias[size_t(i)] : 0.0f));
    }
    EXPECT_EQ(residual, before);
    call.args.delta = address(delta);
    call.args.y = 0;
    call.grid.x = 1;
    ASSERT_TRUE(runsOnce(call));
    for (size_t i = 0; i < kColumns; ++i)
      EXPECT_FLOAT_EQ(residual[i], float(before[i] + value(delta[i])));
    EXPECT_EQ(residual[kColumns], before[kColumns]) << "only the rows of the grid";
  }
}

TEST_P(ModelKernels, Rotate) {
  constexpr size_t kRows = 4, kLength = 2, kHeads = 5, kDim = 24, kStride = kHeads * kDim + 8;
  for (const bool normalized : {false, true}) {
    std::vector<uint16_t> x = halves(kRows * kStride);
    std::vector<float> weight = floats(kDim), angles = floats(kLength * kDim / 2), cosine, sine;
    for (const float angle : angles) {
      cosine.push_back(std::cos(angle));
      sine.push_back(std::sin(angle));
    }
    ModelCall call;
    call.kernel = pick("rotate");
    call.args.yStride = kStride;
    call.args.length = kLength;
    call.args.heads = kHeads;
    call.args.headDim = kDim;
    call.args.epsilon = 1e-6f;
    call.args.cosine = address(cosine);
    call.args.sine = address(sine);
    call.args.weight = normalized ? address(weight) : 0;
    call.grid = {kRows, 2, 1};
    std::vector<uint16_t> y = x;
    call.args.y = address(y);
    call.buffers = {buffer("y", y, true), buffer("weight", weight), buffer("cosine", cosine),
                    buffer("sine", sine)};
    ASSERT_TRUE(runsOnce(call));
    for (size_t row = 0; row < kRows; ++row)
      for (size_t head = 0; head < kHeads; ++head) {
        const size_t at = row * kStride + head * kDim, half = kDim / 2;
        double squares = 0;
        for (size_t j = 0; j < kDim; ++j)
          squares += value(x[at + j]) * value(x[at + j]) / kDim;
        const double factor = normalized ? 1 / std::sqrt(squares + 1e-6) : 1;
        for (size_t j = 0; j < half; ++j) {
          const size_t k = row % kLength * half + j;
          const double low = value(x[at + j]) * factor * (normalized ? weight[j] : 1.0f),
                       high = value(x[at + half + j]) * factor *
                              (normalized ? weight[half + j] : 1.0f);
          expectNear(y[at + j], low * cosine[k] - high * sine[k], 10);
          expectNear(y[at + half + j], high * cosine[k] + low * sine[k], 10);
        }
      }
    for (size_t row = 0; row < kRows; ++row) // what lies between the rows
      for (size_t i = row * kStride + kHeads * kDim; i < (row + 1) * kStride; ++i)
        EXPECT_EQ(y[i], x[i]);
  }
}

double activated(double x, int kind) {
  switch (kind) {
  case 0:
    return x / (1 + std::exp(-x));
  case 1:
    return std::max(x, 0.0);
  case 2:
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  default:
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
}

TEST_P(ModelKernels, Activate) {
  constexpr int kRows = 2, kColumns = 136, kStride = 2 * kColumns;
  std::vector<uint16_t> x = halves(kRows * kStride, 3), y(kRows * kColumns);
  for (int kind = 0; kind < 4; ++kind)
    for (const bool gated : {false, true}) {
      std::fill(y.begin(), y.end(), kPoison);
      ModelCall call;
      call.kernel = pick("activate");
      call.args.x = address(x) + (gated ? 2 * kColumns : 0); // gate and up side by side
      call.args.keys = gated ? address(x) : 0;
      call.args.xStride = call.args.kvStride = kStride;
      call.args.y = address(y);
      call.args.yStride = call.args.columns = kColumns;
      call.args.activation = kind;
      call.grid = {kRows, 1, 1};
      call.buffers = {buffer("x", x), buffer("y", y, true)};
      ASSERT_TRUE(runs(call));
      for (size_t row = 0; row < kRows; ++row)
        for (size_t i = 0; i < kColumns; ++i) {
          const double first = value(x[row * kStride + i]);
          const double second = gated ? value(x[row * kStride + kColumns + i]) : 1;
          expectNear(y[row * kColumns + i], activated(first, kind) * second, 10);
        }
    }
}

TEST_P(ModelKernels, BiasAndLoss) {
  constexpr int kRows = 3, kColumns = 72;
  std::vector<uint16_t> x = halves(kRows * kColumns);
  std::vector<float> bias = floats(kColumns), logits = floats(kRows * kColumns, 4), losses(kRows);
  std::vector<int32_t> targets = {5, -1, 71};
  ModelCall call;
  std::vector<uint16_t> y = x;
  call.kernel = pick("bias");
  call.args.y = address(y);
  call.args.yStride = call.args.columns = kColumns;
  call.args.bias = address(bias);
  call.grid = {kRows, 2, 1};
  call.buffers = {buffer("y", y, true), buffer("bias", bias)};
  ASSERT_TRUE(runsOnce(call));
  for (size_t i = 0; i < y.size(); ++i)
    expectNear(y[i], value(x[i]) + bias[i % kColumns], 10);

  call = ModelCall();
  call.kernel = findModelKernel("loss");
  call.args.residual = address(logits);
  call.args.columns = kColumns;
  call.args.targets = address(targets);
  call.args.losses = address(losses);
  call.grid.x = kRows;
  call.sharedBytes = 16;
  call.buffers = {buffer("logits", logits), buffer("targets", targets),
                  buffer("losses", losses, true)};
  ASSERT_TRUE(runs(call));
  for (size_t row = 0; row < kRows; ++row) {
    double sum = 0;
    for (size_t i = 0; i < kColumns; ++i)
      sum += std::exp(double(logits[row * kColumns + i]));
    const double expected =
        targets[row] < 0 ? 0 : std::log(sum) - logits[row * kColumns + size_t(targets[row])];
    EXPECT_NEAR(losses[row], expected, 1e-5) << row;
  }
}

struct AttentionCase {
  int tile, headDim, heads, kvHeads, length, keys, window, sequences;
};

TEST_P(ModelKernels, Attend) {
  for (const AttentionCase &c :
       {AttentionCase{64, 40, 2, 1, 70, 70, 0, 2}, AttentionCase{64, 64, 4, 2, 1, 77, 0, 2},
        AttentionCase{128, 96, 1, 1, 66, 130, 50, 1}, AttentionCase{128, 128, 1, 1, 3, 3, 1, 1},
        AttentionCase{256, 136, 1, 1, 5, 69, 3, 1}}) {
    const size_t d = size_t(c.headDim), width = size_t(c.heads) * d,
                 kvWidth = size_t(c.kvHeads) * d;
    const size_t rows = size_t(c.length) * size_t(c.sequences), kvRows = size_t(c.keys) + 1;
    std::vector<uint16_t> q = halves(rows * width, 2), y(rows * width, kPoison),
                          k = halves(kvRows * size_t(c.sequences) * kvWidth, 2),
                          v = halves(kvRows * size_t(c.sequences) * kvWidth);
    for (size_t s = 0; s < size_t(c.sequences); ++s) // what lies behind the keys must not matter
      for (size_t i = 0; i < kvWidth; ++i)
        k[(s * kvRows + size_t(c.keys)) * kvWidth + i] =
            v[(s * kvRows + size_t(c.keys)) * kvWidth + i] = kPoison;
    ModelCall call;
    call.kernel = pick("attend" + std::to_string(c.tile));
    ModelArgs &args = call.args;
    args.x = address(q), args.keys = address(k), args.values = address(v), args.y = address(y);
    args.xStride = args.yStride = int64_t(width), args.kvStride = int64_t(kvWidth);
    args.kvRows = int64_t(kvRows), args.length = c.length, args.keyCount = c.keys;
    args.window = c.window, args.heads = c.heads, args.kvHeads = c.kvHeads;
    args.headDim = c.headDim, args.scale = 1 / std::sqrt(float(c.headDim));
    call.grid = {unsigned((c.length + kAttentionTile - 1) / kAttentionTile), unsigned(c.heads),
                 unsigned(c.sequences)};
    call.sharedBytes = size_t(attentionSharedBytes(c.tile));
    call.buffers = {buffer("q", q), buffer("k", k), buffer("v", v), buffer("y", y, true)};
    ASSERT_TRUE(runs(call)) << c.tile << " " << c.headDim;
    for (size_t row = 0; row < rows; ++row)
      for (size_t head = 0; head < size_t(c.heads); ++head) {
        const size_t sequence = row / size_t(c.length);
        const int at = c.keys - c.length + int(row % size_t(c.length));
        const size_t column = head / size_t(c.heads / c.kvHeads) * d;
        const int first = c.window > 0 ? std::max(0, at + 1 - c.window) : 0;
        std::vector<double> sums(d);
        double total = 0;
        for (int key = first; key <= at; ++key) {
          const size_t kv = (sequence * kvRows + size_t(key)) * kvWidth + column;
          double score = 0;
          for (size_t i = 0; i < d; ++i)
            score += value(q[row * width + head * d + i]) * value(k[kv + i]);
          const double weight = std::exp(score / std::sqrt(double(d)));
          total += weight;
          for (size_t i = 0; i < d; ++i)
            sums[i] += weight * value(v[kv + i]);
        }
        for (size_t i = 0; i < d; ++i) {
          const double unit = type == DType::F16 ? 1.0 / 2048 : 1.0 / 256;
          ASSERT_NEAR(value(y[row * width + head * d + i]), sums[i] / total, 6 * unit)
              << "row " << row << " head " << head << " column " << i;
        }
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ModelKernels, testing::Values(DType::F16, DType::BF16));

} // namespace
} // namespace gptqc::sim
