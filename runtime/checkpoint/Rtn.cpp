// The grid follows the original GPTQ: minimum and maximum of a row in a group, 0 included.
#include "runtime/checkpoint/Rtn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/core/Float16.h"

namespace gptqc {
namespace {

/// Rows that are quantized together, so that codes [K,N] are written in runs.
constexpr int64_t kRowBlock = 64;

struct Range {
  float low = 0, high = 0;
};

/// Minimum and maximum with 0 inside; false when a weight is not finite.
bool rangeOf(const float *row, std::span<const int32_t> columns, Range &range) {
  range = {};
  bool finite = true;
  for (int32_t column : columns) {
    const float value = row[column];
    finite = finite && std::isfinite(value);
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return finite;
}

} // namespace

uint16_t storedScale(float scale) {
  const uint16_t bits = floatToHalf(scale);
  return bits == 0 ? uint16_t(1) : bits; // the smallest subnormal: a scale of 0 has no codes
}

GridPoint makeGrid(float low, float high, const RtnOptions &options) {
  const RealGrid grid = makeRealGrid(low, high, options);
  return {storedScale(grid.scale), grid.zero};
}

RealGrid makeRealGrid(float low, float high, const RtnOptions &options) {
  const float maxCode = float((1 << options.bits) - 1);
  if (options.sym) {
    high = std::max(-low, high);
    if (low < 0)
      low = -high;
  }
  if (low == 0 && high == 0) {
    low = -1;
    high = 1;
  }
  float scale = (high - low) / maxCode;
  if (options.sym)
    return {scale, uint8_t(1 << (options.bits - 1))};
  float zero = std::rint(-low / scale);
  if (options.zeroFromOne && zero < 1) { // one step below 0 is kept free, the rest reaches `high`
    scale = std::max(high / (maxCode - 1), -low);
    zero = 1;
  }
  return {scale, uint8_t(std::clamp(zero, 0.0f, maxCode))};
}

uint8_t gridCode(float weight, const GridPoint &point, int bits) {
  const float maxCode = float((1 << bits) - 1);
  const float code = std::rint(weight / halfToFloat(point.scale) + float(point.zero));
  return uint8_t(std::clamp(code, 0.0f, maxCode));
}

std::vector<int32_t> columnsByNorm(std::span<const float> weights, int64_t n, int64_t k) {
  std::vector<double> squares(size_t(k), 0.0);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column) {
      const double value = weights[size_t(row * k + column)];
      squares[size_t(column)] += value * value;
    }
  std::vector<int32_t> order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return squares[size_t(a)] > squares[size_t(b)]; });
  return order;
}

Result<QuantizedMatrix> quantizeRtn(std::span<const float> weights, int64_t n, int64_t k,
                                    DType activation, const RtnOptions &options) {
  const int64_t groupSize = options.groupSize < 0 || options.groupSize > k ? k : options.groupSize;
  const int64_t groups = (k + groupSize - 1) / groupSize;
  // A column that is not finite would break the order; the grid reports it below.
  std::vector<int32_t> order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  const bool finite =
      std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); });
  if (options.actOrder && finite)
    order = columnsByNorm(weights, n, k);
  std::vector<int32_t> groupIndex(static_cast<size_t>(k));
  for (int64_t position = 0; position < k; ++position)
    groupIndex[size_t(order[size_t(position)])] = int32_t(position / groupSize);

  std::vector<uint8_t> codes(size_t(k * n)), zeros(size_t(groups * n));
  std::vector<uint16_t> scales(size_t(groups * n));
  for (int64_t first = 0; first < n; first += kRowBlock) {
    const int64_t last = std::min(first + kRowBlock, n);
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t begin = group * groupSize, end = std::min(begin + groupSize, k);
      const std::span<const int32_t> columns(order.data() + begin, size_t(end - begin));
      GridPoint grid[kRowBlock];
      for (int64_t row = first; row < last; ++row) {
        Range range;
        if (!rangeOf(&weights[size_t(row * k)], columns, range))
          return invalidArgument("row {} of the weight holds a value that is not finite", row);
        GridPoint &point = grid[row - first];
        point = makeGrid(range.low, range.high, options);
        if (!std::isfinite(halfToFloat(point.scale)))
          return invalidArgument("row {} of the weight reaches {}, too large for an f16 scale", row,
                                 std::max(-range.low, range.high));
        scales[size_t(group * n + row)] = point.scale;
        zeros[size_t(group * n + row)] = point.zero;
      }
      for (int32_t column : columns)
        for (int64_t row = first; row < last; ++row)
          codes[size_t(column * n + row)] =
              gridCode(weights[size_t(row * k + column)], grid[row - first], options.bits);
    }
  }
  LayerCodes layer;
  layer.bits = options.bits;
  layer.n = n;
  layer.k = k;
  layer.groupSize = options.groupSize;
  layer.act = layer.out = activation;
  layer.codes = codes;
  layer.zeros = zeros;
  layer.scales = scales;
  layer.groupIndex = groupIndex;
  return layerFromCodes(layer);
}

} // namespace gptqc
