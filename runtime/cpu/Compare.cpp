// Element-wise comparison, rows in parallel, merged in row order so that the report is
// deterministic.
#include "runtime/cpu/Compare.h"

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Values from here on round to infinity.
double overflowThreshold(DType type) { return type == DType::F16 ? 65520.0 : 0x1.ffp127; }

struct RowResult {
  Comparison worst; ///< counts and the worst element of the row
  double errorSquares = 0, referenceSquares = 0;
  int64_t finite = 0;
};

/// Error of one element; infinity when no tolerance can cover it.
double elementError(double got, double want, double tolerance, DType out) {
  if (std::isnan(want))
    return std::isnan(got) ? 0 : kInfinity;
  if (std::isnan(got))
    return kInfinity;
  if (std::isinf(want))
    return got == want ? 0 : kInfinity;
  if (std::isinf(got)) {
    const bool overflows = std::abs(want) + tolerance >= overflowThreshold(out);
    return overflows && std::signbit(got) == std::signbit(want) ? 0 : kInfinity;
  }
  return std::abs(got - want);
}

/// Products of silu may all be tiny: silu of a large negative gate is exp(gate), where rounding of
/// the gate becomes relative error of any size, and f16 below its normal numbers rounds to 6e-8. A
/// relative norm of such outputs means nothing.
bool countsInNorm(const Descriptor &d, double want) {
  constexpr double kSmallestNormalF16 = 0x1p-14;
  return !d.siluMul ||
         std::abs(want) > (d.out == DType::F16 ? kSmallestNormalF16 : kAbsoluteTolerance);
}

void compareRow(const Descriptor &d, const Reference &reference, int64_t row, const uint16_t *y,
                RowResult &result) {
  Comparison &worst = result.worst;
  worst.row = row;
  worst.maxRatio = -1;
  for (int64_t c = 0; c < reference.columns; ++c) {
    const size_t at = size_t(row * reference.columns + c);
    const double want = reference.y[at];
    const double got = toFloat(y[c], d.out);
    const double tolerance = elementTolerance(d, want, reference.spread[at]);
    const bool unwritten = y[c] == kPoison;
    const double error = unwritten ? kInfinity : elementError(got, want, tolerance, d.out);
    // A reference that is not finite has no finite tolerance; its errors are 0 or infinity.
    const double ratio = error == 0 ? 0 : error == kInfinity ? kInfinity : error / tolerance;
    worst.unwritten += unwritten;
    worst.failures += !(ratio <= 1);
    worst.maxError = std::max(worst.maxError, error);
    if (std::isfinite(want) && countsInNorm(d, want)) {
      result.errorSquares += error * error;
      const double spread = reference.spread[at];
      result.referenceSquares += std::max(want * want, spread * spread);
      ++result.finite;
    }
    if (ratio > worst.maxRatio) {
      worst.maxRatio = ratio;
      worst.column = c;
      worst.got = got;
      worst.want = want;
      worst.tolerance = tolerance;
    }
  }
}

} // namespace

double frobeniusLimit(const Descriptor &descriptor) {
  return descriptor.act == DType::BF16 || descriptor.out == DType::BF16 ? 5e-3 : 6e-4;
}

double elementTolerance(const Descriptor &descriptor, double reference, double spread) {
  const double weights = descriptor.act == DType::BF16 ? 12 : 8;
  return unitRoundoff(descriptor.out) * std::abs(reference) +
         weights * unitRoundoff(descriptor.act) * spread + kAbsoluteTolerance;
}

Comparison compareOutput(const Descriptor &descriptor, const Reference &reference,
                         const uint16_t *y, int64_t ldy, int threads) {
  std::vector<RowResult> rows(static_cast<size_t>(reference.rows));
  parallelFor(reference.rows, resolveThreads(threads), [&](int64_t row, int) {
    compareRow(descriptor, reference, row, y + row * ldy, rows[size_t(row)]);
  });

  Comparison total;
  total.maxRatio = -1;
  double errorSquares = 0, referenceSquares = 0;
  int64_t finite = 0;
  for (const RowResult &row : rows) {
    Comparison next = row.worst.maxRatio > total.maxRatio ? row.worst : total;
    next.failures = total.failures + row.worst.failures;
    next.unwritten = total.unwritten + row.worst.unwritten;
    next.maxError = std::max(total.maxError, row.worst.maxError);
    total = next;
    errorSquares += row.errorSquares;
    referenceSquares += row.referenceSquares;
    finite += row.finite;
  }
  total.maxRatio = std::max(total.maxRatio, 0.0);
  total.elements = reference.rows * reference.columns;
  total.relativeFrobenius =
      errorSquares == 0 ? 0 : std::sqrt(errorSquares / referenceSquares); // infinity when ref is 0
  total.frobeniusLimit = finite >= kFrobeniusElements ? frobeniusLimit(descriptor) : 0;
  return total;
}

std::string Comparison::explain() const {
  if (passed())
    return fmt::format("all {} elements within tolerance", elements);
  if (failures == 0)
    return fmt::format("relative Frobenius error {:.2e} is above {:.0e}, every element within its "
                       "own tolerance",
                       relativeFrobenius, frobeniusLimit);
  std::string text = fmt::format("{} of {} elements out of tolerance", failures, elements);
  if (unwritten > 0)
    text += fmt::format(", {} of them never written", unwritten);
  return text +
         fmt::format("; worst at row {} column {}: {:.6g}, reference {:.6g}, tolerance {:.2g}", row,
                     column, got, want, tolerance);
}

} // namespace gptqc
