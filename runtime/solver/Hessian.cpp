// The sum is kept unscaled, so that batches need no weights: every token counts the same.
#include "runtime/solver/Hessian.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Parallel.h"

namespace gptqc {

void mirrorUpper(MatrixRef<float> a, int threads) {
  constexpr int64_t kBlock = 64; // square blocks, so that both sides of the mirror stay in cache
  const int64_t n = a.rows;
  parallelFor((n + kBlock - 1) / kBlock, threads, [&](int64_t block, int) {
    const int64_t rows = block * kBlock;
    for (int64_t columns = rows; columns < n; columns += kBlock)
      for (int64_t i = rows; i < std::min(rows + kBlock, n); ++i)
        for (int64_t j = std::max(columns, i + 1); j < std::min(columns + kBlock, n); ++j)
          a.at(j, i) = a.at(i, j);
  });
}

HessianSum::HessianSum(int64_t k, Blas blas)
    : blas(std::move(blas)), k(k), sum(static_cast<size_t>(k * k), 0.0f) {}

void HessianSum::add(MatrixRef<const float> x) {
  blas.syrk(Triangle::Upper, 1.0f, x, Transpose::Yes, 1.0f, MatrixRef<float>(sum.data(), k, k));
  count += x.rows;
}

Result<Hessian> HessianSum::finish() {
  if (count == 0)
    return invalidArgument("no calibration tokens reached the layer");
  // A NaN or infinity in x makes its square on the diagonal one.
  for (int64_t i = 0; i < k; ++i)
    if (!std::isfinite(sum[size_t(i * k + i)]))
      return invalidArgument("input channel {} is NaN or infinite for some calibration token", i);
  const float factor = 2.0f / float(count);
  for (float &value : sum)
    value *= factor;
  mirrorUpper({sum.data(), k, k});
  Hessian hessian{k, count, std::move(sum)};
  sum.clear();
  count = 0;
  return hessian;
}

Status validate(const Hessian &hessian) {
  const int64_t k = hessian.k;
  if (int64_t(hessian.values.size()) != k * k || k < 1)
    return invalidArgument("H has {} values, {} x {} are needed", hessian.values.size(), k, k);
  for (float value : hessian.values)
    if (!std::isfinite(value))
      return invalidArgument("H holds a value that is not finite");
  const auto at = [&](int64_t i, int64_t j) { return double(hessian.values[size_t(i * k + j)]); };
  for (int64_t i = 0; i < k; ++i)
    if (at(i, i) < 0)
      return invalidArgument("H has the negative diagonal element {} at {}", at(i, i), i);
  constexpr int64_t kBlock = 64;
  for (int64_t rows = 0; rows < k; rows += kBlock)
    for (int64_t columns = 0; columns <= rows; columns += kBlock)
      for (int64_t i = rows; i < std::min(rows + kBlock, k); ++i)
        for (int64_t j = columns; j < std::min(columns + kBlock, i); ++j)
          if (std::abs(at(i, j) - at(j, i)) > 1e-3 * std::sqrt(at(i, i) * at(j, j)))
            return invalidArgument("H is not symmetric: {} at ({}, {}), {} mirrored", at(i, j), i,
                                   j, at(j, i));
  return Status();
}

} // namespace gptqc
