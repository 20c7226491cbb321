// Reference GEMM on the GPU, with samples checked against the CPU.
#include "cli/check/CudaReference.h"

#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Random.h"
#include "runtime/device/SupportArgs.h"

namespace gptqc::cli {
namespace {

constexpr int kSamples = 64;
constexpr int kThreads = 256, kTileN = 64, kTileM = 16;

struct Sums {
  double y = 0, squares = 0;
};

Sums onCpu(const QuantizedMatrix &matrix, const uint16_t *x, int64_t n) {
  const Descriptor &d = matrix.descriptor;
  Sums sums;
  for (int64_t k = 0; k < d.k; ++k) {
    const int64_t group = matrix.groupOf(k);
    const double scale = toFloat(matrix.scales[size_t(group * d.n + n)], d.scales);
    const int code = matrix.codes[size_t(k * d.n + n)];
    const double product = scale * (code - matrix.zeroAt(group, n)) * toFloat(x[k], d.act);
    sums.y += product;
    sums.squares += product * product;
  }
  if (!matrix.bias.empty())
    sums.y += toFloat(matrix.bias[size_t(n)], d.act);
  return sums;
}

/// Equal but for the order of double-precision sums, or both not finite.
bool agree(double a, double b, double magnitude) {
  if (!std::isfinite(a) || !std::isfinite(b))
    return std::isnan(a) ? std::isnan(b) : a == b;
  return std::abs(a - b) <= 1e-10 * (magnitude + std::abs(b));
}

Status checkSamples(const QuantizedMatrix &matrix, const std::vector<uint16_t> &x, int64_t m,
                    const std::vector<double> &y, const std::vector<double> &squares) {
  const Descriptor &d = matrix.descriptor;
  Random random(uint64_t(m * d.n));
  for (int i = 0; i < kSamples; ++i) {
    // The corners first, then anywhere.
    const int64_t row = i < 4 ? (i & 1) * (m - 1) : random.below(m);
    const int64_t n = i < 4 ? (i >> 1) * (d.n - 1) : random.below(d.n);
    const Sums want = onCpu(matrix, x.data() + row * d.k, n);
    const size_t at = size_t(row * d.n + n);
    const double magnitude = std::sqrt(want.squares * double(d.k));
    if (!agree(y[at], want.y, magnitude) || !agree(squares[at], want.squares, want.squares))
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
  std::vector<int32_t> groupOf(static_cast<size_t>(matrix.descriptor.k));
  for (size_t k = 0; k < groupOf.size(); ++k)
    groupOf[k] = matrix.groupOf(int64_t(k));
  GPTQC_ASSIGN(layer.codes, DeviceBuffer::upload(device, matrix.codes));
  GPTQC_ASSIGN(layer.zeros, DeviceBuffer::upload(device, matrix.zeros));
  GPTQC_ASSIGN(layer.scales, DeviceBuffer::upload(device, matrix.scales));
  GPTQC_ASSIGN(layer.groupOf, DeviceBuffer::upload(device, groupOf));
  GPTQC_ASSIGN(layer.bias, DeviceBuffer::upload(device, matrix.bias));
  return layer;
}

Result<CudaReference> CudaReference::create(const CudaContext &context) {
  GPTQC_ASSIGN(Function kernel, context.supportKernel("support/reference.cu", "reference_gemm"));
  return CudaReference(std::move(kernel));
}

Result<Reference> CudaReference::compute(const CudaContext &context, const QuantizedMatrix &matrix,
                                         const PlainLayer &layer, const std::vector<uint16_t> &x,
                                         int64_t m) const {
  const Descriptor &d = matrix.descriptor;
  const Device &device = context.device();
  GPTQC_ASSIGN(const DeviceBuffer xBuffer, DeviceBuffer::upload(device, x));
  GPTQC_ASSIGN(const DeviceBuffer y, DeviceBuffer::allocate(device, m * d.n * 8));
  GPTQC_ASSIGN(const DeviceBuffer squares, DeviceBuffer::allocate(device, m * d.n * 8));
  ReferenceArgs args;
  args.codes = layer.codes.address();
  args.zeros = layer.zeros.address();
  args.scales = layer.scales.address();
  args.groupOf = layer.groupOf.address();
  args.x = xBuffer.address();
  args.bias = layer.bias.address();
  args.y = y.address();
  args.squares = squares.address();
  args.n = d.n;
  args.k = args.ldx = d.k;
  args.m = int32_t(m);
  args.symZero = d.symZero();
  args.actBf16 = d.act == DType::BF16;
  args.scaleBf16 = d.scales == DType::BF16;
  const Grid grid{(d.n + kTileN - 1) / kTileN, (m + kTileM - 1) / kTileM, 1};
  GPTQC_TRY(gemm.launch(grid, kThreads, &args, context.stream()));
  GPTQC_TRY(context.stream().synchronize().withContext("reference kernel"));
  GPTQC_ASSIGN(std::vector<double> hostY, y.download<double>());
  GPTQC_ASSIGN(std::vector<double> hostSquares, squares.download<double>());
  GPTQC_TRY(checkSamples(matrix, x, m, hostY, hostSquares));
  return finishReference(d, m, std::move(hostY), std::move(hostSquares));
}

} // namespace gptqc::cli
