// Reference GEMM on the GPU, with samples checked against the CPU.
#include "cli/check/CudaReference.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Random.h"

namespace gptqc::cli {
namespace {

constexpr int kSamples = 64;
constexpr int kThreads = 256, kTileN = 64, kTileM = 16;

struct Sums {
  double y = 0, spreadSquare = 0;
};

Sums onCpu(const QuantizedMatrix &matrix, int64_t expert, const uint16_t *x, int64_t n) {
  const Descriptor &d = matrix.descriptor;
  Sums sums;
  double squares = 0, rounding = 0;
  for (int64_t k = 0; k < d.k; ++k) {
    const int64_t group = matrix.groupIndex.empty() ? k / d.effectiveGroupSize()
                                                    : matrix.groupIndex[size_t(expert * d.k + k)];
    const auto at = size_t((expert * matrix.groups + group) * d.n + n);
    const int zero = matrix.zeros.empty() ? d.symZero() : matrix.zeros[at];
    const int code = matrix.codes[size_t((expert * d.k + k) * d.n + n)];
    const double weight = toFloat(matrix.scales[at], d.scales) * double(code - zero);
    const double value = toFloat(x[k], d.act);
    sums.y += weight * value;
    squares += weight * value * weight * value;
    rounding += roundingError(d.act, float(weight)) * value;
  }
  sums.spreadSquare = spreadSquare(d.act, squares, rounding);
  if (!matrix.bias.empty())
    sums.y += toFloat(matrix.bias[size_t(expert * d.n + n)], d.act);
  return sums;
}

/// Whose row it is; 0 for plain layers.
int64_t expertOfRow(std::span<const int32_t> offsets, int64_t row) {
  return offsets.empty()
             ? 0
             : std::upper_bound(offsets.begin(), offsets.end(), row) - offsets.begin() - 1;
}

/// Equal but for the order of double-precision sums, or both not finite.
bool agree(double a, double b, double magnitude) {
  if (!std::isfinite(a) || !std::isfinite(b))
    return std::isnan(a) ? std::isnan(b) : a == b;
  return std::abs(a - b) <= 1e-10 * (magnitude + std::abs(b));
}

Status checkSamples(const QuantizedMatrix &matrix, const std::vector<uint16_t> &x, int64_t m,
                    std::span<const int32_t> offsets, const std::vector<double> &y,
                    const std::vector<double> &spreadSquares) {
  const Descriptor &d = matrix.descriptor;
  Random random(uint64_t(m * d.n));
  for (int i = 0; i < kSamples; ++i) {
    // The corners first, then anywhere.
    const int64_t row = i < 4 ? (i & 1) * (m - 1) : random.below(m);
    const int64_t n = i < 4 ? (i >> 1) * (d.n - 1) : random.below(d.n);
    const Sums want = onCpu(matrix, expertOfRow(offsets, row), x.data() + row * d.k, n);
    const size_t at = size_t(row * d.n + n);
    const double magnitude = std::sqrt(want.spreadSquare * double(d.k));
    if (!agree(y[at], want.y, magnitude) ||
        !agree(spreadSquares[at], want.spreadSquare, want.spreadSquare))
      return makeError(
          Code::Internal,
          "`{}`: the GPU reference disagrees with the CPU at row {} column {}: {} and {}",
          d.print(), row, n, y[at], want.y);
  }
  return {};
}

} // namespace

Result<PlainLayer> PlainLayer::upload(const Device &device, const QuantizedMatrix &matrix) {
  PlainLayer layer;
  const Descriptor &d = matrix.descriptor;
  std::vector<int32_t> groupOf = matrix.groupIndex; // of every expert
  if (groupOf.empty())
    for (int64_t i = 0; i < d.k * d.experts; ++i)
      groupOf.push_back(matrix.groupOf(i % d.k));
  GPTQC_ASSIGN(layer.codes, DeviceBuffer::upload(device, matrix.codes));
  GPTQC_ASSIGN(layer.zeros, DeviceBuffer::upload(device, matrix.zeros));
  GPTQC_ASSIGN(layer.scales, DeviceBuffer::upload(device, matrix.scales));
  GPTQC_ASSIGN(layer.groupOf, DeviceBuffer::upload(device, groupOf));
  GPTQC_ASSIGN(layer.bias, DeviceBuffer::upload(device, matrix.bias));
  return layer;
}

Result<CudaReference> CudaReference::create(const CudaContext &context) {
  GPTQC_ASSIGN(Function kernel, context.supportKernel("support/reference.cu", "reference_gemm",
                                                      kReferenceSharedBytes));
  return CudaReference(std::move(kernel));
}

/// One launch, or one for each expert that has rows.
Status CudaReference::launch(const CudaContext &context, const Descriptor &d,
                             const PlainLayer &layer, ReferenceArgs args,
                             std::span<const int32_t> offsets) const {
  const int32_t all[] = {0, args.m};
  const std::span<const int32_t> rows = offsets.empty() ? std::span<const int32_t>(all) : offsets;
  for (int64_t e = 0; e < d.experts; ++e) {
    const auto part = [&](const DeviceBuffer &buffer) {
      return buffer.address() + uint64_t(buffer.bytes() / d.experts * e);
    };
    const int64_t first = rows[size_t(e)];
    ReferenceArgs own = args;
    own.codes = part(layer.codes);
    own.zeros = part(layer.zeros);
    own.scales = part(layer.scales);
    own.groupOf = part(layer.groupOf);
    own.bias = part(layer.bias);
    own.x += uint64_t(first * d.k * 2);
    own.y += uint64_t(first * d.n * 8);
    own.squares += uint64_t(first * d.n * 8);
    own.m = int32_t(rows[size_t(e + 1)] - first);
    const Grid grid{(d.n + kTileN - 1) / kTileN, (own.m + kTileM - 1) / kTileM, 1};
    if (own.m > 0)
      GPTQC_TRY(gemm.launch(grid, kThreads, &own, context.stream()));
  }
  return context.stream().synchronize().withContext("reference kernel");
}

Result<Reference> CudaReference::compute(const CudaContext &context, const QuantizedMatrix &matrix,
                                         const PlainLayer &layer, const std::vector<uint16_t> &x,
                                         int64_t m, std::span<const int32_t> offsets) const {
  const Descriptor &d = matrix.descriptor;
  const Device &device = context.device();
  GPTQC_ASSIGN(const DeviceBuffer xBuffer, DeviceBuffer::upload(device, x));
  GPTQC_ASSIGN(const DeviceBuffer y, DeviceBuffer::allocate(device, m * d.n * 8));
  GPTQC_ASSIGN(const DeviceBuffer squares, DeviceBuffer::allocate(device, m * d.n * 8));
  ReferenceArgs args = referenceArgs(d, m);
  args.x = xBuffer.address();
  args.y = y.address();
  args.squares = squares.address();
  GPTQC_TRY(launch(context, d, layer, args, offsets));
  GPTQC_ASSIGN(std::vector<double> hostY, y.download<double>());
  GPTQC_ASSIGN(std::vector<double> hostSquares, squares.download<double>());
  GPTQC_TRY(checkSamples(matrix, x, m, offsets, hostY, hostSquares));
  return finishReference(d, m, std::move(hostY), std::move(hostSquares));
}

} // namespace gptqc::cli
