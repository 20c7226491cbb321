// Layers whose outputs are small integers, so that fp32 sums and fp16 outputs are exact in any
// order: a layer, its fused and its cut forms must agree to the bit.
#ifndef GPTQC_TESTS_RUNTIME_DISPATCH_EXACTLAYER_H
#define GPTQC_TESTS_RUNTIME_DISPATCH_EXACTLAYER_H

#include <algorithm>
#include <random>
#include <vector>

#include "runtime/core/Float16.h"
#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

struct ExactSpec {
  int bits = 4;
  int64_t n = 64, k = 512, groupSize = 64;
  bool sym = false, actOrder = false, bias = false;
  unsigned seed = 1;
  float unit = 1; ///< scales are this or twice this; powers of two are exact
};

/// Weights of up to 7 steps of 1 or 2 units; codes included.
inline QuantizedMatrix exactLayer(const ExactSpec &s) {
  std::mt19937 random(s.seed);
  const int64_t groups = (s.k + s.groupSize - 1) / s.groupSize;
  const int top = (1 << s.bits) - 1, middle = 1 << (s.bits - 1);
  std::vector<int32_t> groupIndex;
  for (int64_t k = 0; k < s.k; ++k)
    groupIndex.push_back(int32_t(k / s.groupSize));
  if (s.actOrder) // parts of one layer share their order
    std::shuffle(groupIndex.begin(), groupIndex.end(), std::mt19937(77));
  std::vector<uint8_t> zeros, codes;
  std::vector<uint16_t> scales, bias;
  for (int64_t i = 0; i < groups * s.n; ++i) {
    scales.push_back(floatToHalf(s.unit * float(1 + random() % 2)));
    zeros.push_back(uint8_t(s.sym ? middle : 1 + int(random() % unsigned(top))));
  }
  for (int64_t k = 0; k < s.k; ++k)
    for (int64_t n = 0; n < s.n; ++n) {
      const int zero = zeros[size_t(groupIndex[size_t(k)] * s.n + n)];
      codes.push_back(uint8_t(std::clamp(zero + int(random() % 15) - 7, 0, top)));
    }
  for (int64_t n = 0; s.bias && n < s.n; ++n)
    bias.push_back(floatToHalf(float(int(random() % 101) - 50)));
  LayerCodes layer;
  layer.bits = s.bits, layer.n = s.n, layer.k = s.k, layer.groupSize = s.groupSize;
  layer.codes = codes, layer.zeros = zeros, layer.scales = scales, layer.groupIndex = groupIndex;
  layer.bias = bias;
  return *layerFromCodes(layer);
}

/// [m,k] of -1, 0 and 1 as fp16, 64 of them at most not zero in a row.
inline std::vector<uint16_t> exactInputs(int64_t m, int64_t k, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint16_t> x(size_t(m * k));
  for (int64_t row = 0; row < m; ++row)
    for (int i = 0; i < 64; ++i)
      x[size_t(row * k) + random() % size_t(k)] = random() % 2 ? 0x3c00 : 0xbc00;
  return x;
}

inline double exactWeight(const QuantizedMatrix &layer, int64_t k, int64_t n) {
  const int64_t g = layer.groupOf(k), width = layer.descriptor.n;
  return double(halfToFloat(layer.scales[size_t(g * width + n)])) *
         (layer.codes[size_t(k * width + n)] - layer.zeroAt(g, n));
}

/// [m,n]: X W + bias.
inline std::vector<double> exactOutputs(const QuantizedMatrix &layer,
                                        const std::vector<double> &x) {
  const int64_t k = layer.descriptor.k, n = layer.descriptor.n, m = int64_t(x.size()) / k;
  std::vector<double> y(size_t(m * n));
  for (int64_t row = 0; row < m; ++row) {
    double *out = &y[size_t(row * n)];
    for (int64_t i = 0; i < n && !layer.bias.empty(); ++i)
      out[i] = halfToFloat(layer.bias[size_t(i)]);
    for (int64_t j = 0; j < k; ++j)
      if (const double value = x[size_t(row * k + j)]; value != 0)
        for (int64_t i = 0; i < n; ++i)
          out[i] += value * exactWeight(layer, j, i);
  }
  return y;
}

inline std::vector<double> numbersOf(const std::vector<uint16_t> &halves) {
  std::vector<double> numbers;
  for (const uint16_t half : halves)
    numbers.push_back(halfToFloat(half));
  return numbers;
}

/// The given columns, in their order, of each row of x [m, width].
inline std::vector<uint16_t> gatherColumns(const std::vector<uint16_t> &x, int64_t width,
                                           const std::vector<int32_t> &columns) {
  std::vector<uint16_t> gathered;
  for (size_t row = 0; row < x.size(); row += size_t(width))
    for (const int32_t column : columns)
      gathered.push_back(x[row + size_t(column)]);
  return gathered;
}

} // namespace gptqc

#endif // GPTQC_TESTS_RUNTIME_DISPATCH_EXACTLAYER_H
