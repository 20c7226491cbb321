// Frequencies in double, angles in float as the models were trained with.
#include "runtime/model/Rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

double stretchLlama3(const RopeParameters &rope, double frequency) {
  const double wavelength = kTwoPi / frequency;
  const double rotations = double(rope.originalPositions) / wavelength;
  if (rotations > rope.highFrequency)
    return frequency;
  if (rotations < rope.lowFrequency)
    return frequency / rope.factor;
  const double smooth = (rotations - rope.lowFrequency) / (rope.highFrequency - rope.lowFrequency);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

/// The share of extrapolation of dimension pair j: 1 for fast rotations, 0 for slow ones.
double yarnExtrapolation(const RopeParameters &rope, int64_t headDim, int64_t j) {
  const auto dimensionOf = [&](double rotations) {
    return double(headDim) * std::log(double(rope.originalPositions) / (rotations * kTwoPi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimensionOf(rope.betaFast), high = dimensionOf(rope.betaSlow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, double(headDim - 1));
  if (low == high)
    high += 0.001;
  return 1 - std::clamp((double(j) - low) / (high - low), 0.0, 1.0);
}

double yarnAttention(const RopeParameters &rope) {
  const auto scale = [&](double mscale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(rope.factor) + 1;
  };
  if (rope.attentionFactor)
    return *rope.attentionFactor;
  if (rope.mscale != 0 && rope.mscaleAllDim != 0)
    return scale(rope.mscale) / scale(rope.mscaleAllDim);
  return scale(1);
}

} // namespace

RopeFrequencies ropeFrequencies(const RopeParameters &rope, int64_t headDim) {
  using Kind = RopeParameters::Kind;
  RopeFrequencies result;
  for (int64_t j = 0; j < headDim / 2; ++j) {
    double frequency = 1 / std::pow(rope.theta, double(2 * j) / double(headDim));
    if (rope.kind == Kind::Linear)
      frequency /= rope.factor;
    if (rope.kind == Kind::Llama3)
      frequency = stretchLlama3(rope, frequency);
    if (rope.kind == Kind::Yarn) {
      const double share = yarnExtrapolation(rope, headDim, j);
      frequency = frequency / rope.factor * (1 - share) + frequency * share;
    }
    result.inverse.push_back(float(frequency));
  }
  if (rope.kind == Kind::Yarn)
    result.scale = float(yarnAttention(rope));
  return result;
}

RopeTable::RopeTable(const RopeFrequencies &frequencies, int64_t firstPosition, int64_t positions)
    : half(int64_t(frequencies.inverse.size())) {
  for (int64_t position = firstPosition; position < firstPosition + positions; ++position)
    for (const float inverse : frequencies.inverse) {
      const float angle = float(position) * inverse;
      cos.push_back(std::cos(angle) * frequencies.scale);
      sin.push_back(std::sin(angle) * frequencies.scale);
    }
}

void applyRope(const RopeTable &table, MatrixRef<float> x, int threads) {
  const int64_t half = table.half, positions = int64_t(table.cos.size()) / half;
  parallelForRows(x.rows, threads, [&](int64_t row) {
    const float *cos = table.cos.data() + row % positions * half;
    const float *sin = table.sin.data() + row % positions * half;
    for (int64_t head = 0; head < x.columns; head += 2 * half) {
      float *low = x.row(row) + head, *high = low + half;
      for (int64_t j = 0; j < half; ++j) {
        const float a = low[j], b = high[j];
        low[j] = a * cos[j] - b * sin[j];
        high[j] = b * cos[j] + a * sin[j];
      }
    }
  });
}

} // namespace gptqc
