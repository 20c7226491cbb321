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

} // namespace gptqc
