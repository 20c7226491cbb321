// Row by row on several threads; sums in fp32, as the models were trained.
#include "runtime/model/CpuMath.h"

#include <cmath>
#include <numbers>

#include "runtime/core/Parallel.h"
#include "runtime/model/Softmax.h"

namespace gptqc {
namespace {

void normalizeRow(NormKind kind, float epsilon, const Norm &norm, const float *x, int64_t count,
                  float *y) {
  float mean = 0, squares = 0;
  if (kind == NormKind::Layer) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i)
      sum += x[i];
    mean = float(sum / double(count));
  }
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += double(x[i] - mean) * double(x[i] - mean);
  squares = float(sum / double(count));
  const float scale = 1 / std::sqrt(squares + epsilon);
  for (int64_t i = 0; i < count; ++i)
    y[i] = (x[i] - mean) * scale;
  if (!norm.weight.empty())
    for (int64_t i = 0; i < count; ++i)
      y[i] *= norm.weight[size_t(i)];
  if (!norm.bias.empty())
    for (int64_t i = 0; i < count; ++i)
      y[i] += norm.bias[size_t(i)];
}

// Objects, not functions: a template takes their code, and so vectorizes it.
constexpr auto kSilu = [](float x) {
  const float e = expOfNegative(-std::abs(x));
  return x * ((x < 0 ? e : 1.0f) / (1.0f + e));
};
constexpr auto kRelu = [](float x) { return x > 0 ? x : 0.0f * x; }; // NaN stays
constexpr auto kGelu = [](float x) {
  return 0.5f * x * (1 + std::erf(x * float(std::numbers::sqrt2 / 2)));
};
constexpr auto kGeluTanh = [](float x) {
  constexpr float kRoot = 0.7978845608f; // sqrt(2 / pi)
  return 0.5f * x * (1 + std::tanh(kRoot * (x + 0.044715f * x * x * x)));
};

/// out = f(in) * factor, where factor may be null.
template <typename Function>
void mapRow(Function function, const float *in, const float *factor, int64_t count, float *out) {
  if (factor)
    for (int64_t i = 0; i < count; ++i)
      out[i] = function(in[i]) * factor[i];
  else
    for (int64_t i = 0; i < count; ++i)
      out[i] = function(in[i]);
}

void activateRow(Activation activation, const float *in, const float *factor, int64_t count,
                 float *out) {
  switch (activation) {
  case Activation::Silu:
    return mapRow(kSilu, in, factor, count, out);
  case Activation::Relu:
    return mapRow(kRelu, in, factor, count, out);
  case Activation::Gelu:
    return mapRow(kGelu, in, factor, count, out);
  case Activation::GeluTanh:
    return mapRow(kGeluTanh, in, factor, count, out);
  }
}

} // namespace

CpuContext CpuContext::create(int threads) {
  return {Blas::builtin(threads), resolveThreads(threads)};
}

void applyNorm(const CpuContext &cpu, NormKind kind, float epsilon, const Norm &norm,
               MatrixRef<const float> x, MatrixRef<float> y) {
  parallelForRows(x.rows, cpu.threads, [&](int64_t row) {
    normalizeRow(kind, epsilon, norm, x.row(row), x.columns, y.row(row));
  });
}

void applyHeadNorm(const CpuContext &cpu, float epsilon, const Norm &norm, MatrixRef<float> x) {
  const int64_t headDim = int64_t(norm.weight.size());
  parallelForRows(x.rows, cpu.threads, [&](int64_t row) {
    for (float *head = x.row(row); head < x.row(row) + x.columns; head += headDim)
      normalizeRow(NormKind::Rms, epsilon, norm, head, headDim, head);
  });
}

void applyActivation(const CpuContext &cpu, Activation activation, MatrixRef<const float> gate,
                     MatrixRef<float> x) {
  parallelForRows(x.rows, cpu.threads, [&](int64_t row) {
    const bool gated = gate.rows > 0;
    activateRow(activation, gated ? gate.row(row) : x.row(row), gated ? x.row(row) : nullptr,
                x.columns, x.row(row));
  });
}

void applyLinear(const CpuContext &cpu, const LinearWeights &linear, MatrixRef<const float> x,
                 MatrixRef<float> y) {
  if (linear.packed)
    return linear.packed->run(x, y, cpu.threads);
  for (int64_t row = 0; row < y.rows && !linear.bias.empty(); ++row)
    std::copy(linear.bias.begin(), linear.bias.end(), y.row(row));
  cpu.blas.gemm(1.0f, x, Transpose::No, linear.weight.ref(), Transpose::Yes,
                linear.bias.empty() ? 0.0f : 1.0f, y);
}

void addTo(const CpuContext &cpu, MatrixRef<const float> x, MatrixRef<float> y) {
  parallelForRows(x.rows, cpu.threads, [&](int64_t row) {
    const float *from = x.row(row);
    float *to = y.row(row);
    for (int64_t i = 0; i < x.columns; ++i)
      to[i] += from[i];
  });
}

} // namespace gptqc
