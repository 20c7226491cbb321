// Codes are [K,N], weights [N,K]: some rows of W at a time, so that both sides stay in the cache.
#include "runtime/cpu/Dequantize.h"

#include <algorithm>

#include "runtime/core/Float16.h"

namespace gptqc {

Matrix dequantize(const QuantizedMatrix &matrix) {
  constexpr int64_t kRows = 32;
  const Descriptor &d = matrix.descriptor;
  Matrix w(d.n, d.k);
  std::vector<float> scales(matrix.scales.size());
  for (size_t i = 0; i < scales.size(); ++i)
    scales[i] = toFloat(matrix.scales[i], d.scales);
  for (int64_t first = 0; first < d.n; first += kRows)
    for (int64_t k = 0; k < d.k; ++k) {
      const int64_t group = matrix.groupOf(k), end = std::min(d.n, first + kRows);
      for (int64_t n = first; n < end; ++n)
        w.ref().at(n, k) = scales[size_t(group * d.n + n)] *
                           float(int(matrix.codes[size_t(k * d.n + n)]) - matrix.zeroAt(group, n));
    }
  return w;
}

Matrix dequantize(const PackedWeights &packed) {
  const Descriptor &d = packed.descriptor;
  const WeightLayout &layout = packed.layout;
  Matrix w(d.n, d.k);
  for (int64_t n = 0; n < d.n; ++n) {
    const int64_t row = layout.packedRow(n);
    for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
      const int64_t column = packed.perm.empty() ? kp : packed.perm[size_t(kp)];
      if (column < 0 || column >= d.k)
        continue;
      const int64_t group =
          packed.groupOf.empty() ? kp / layout.paddedGroupSize : packed.groupOf[size_t(kp / 16)];
      const auto at = size_t((row / 16 * layout.paddedGroups + group) * 16 + row % 16);
      const int zero = packed.zeros.empty() ? d.symZero() : packed.zeros[at];
      w.ref().at(n, column) =
          toFloat(packed.scales[at], d.scales) * float(unpackCode(packed, row, kp) - zero);
    }
  }
  return w;
}

} // namespace gptqc
