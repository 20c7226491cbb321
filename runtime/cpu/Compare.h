// Compare: is an output right? Every element has its own tolerance, because a relative norm hides
// single wrong elements; the norm is checked besides.
#ifndef GPTQC_RUNTIME_CPU_COMPARE_H
#define GPTQC_RUNTIME_CPU_COMPARE_H

#include <cstdint>
#include <string>

#include "runtime/cpu/Reference.h"

namespace gptqc {

/// Fill output buffers with this before a run: a NaN in f16 and bf16 that no arithmetic produces,
/// so that an element nobody wrote is told apart from a computed NaN.
inline constexpr uint16_t kPoison = 0x7fad;

/// Largest relative Frobenius error accepted: 6e-4, or 5e-3 when act or out is bf16. Applied to
/// outputs of at least kFrobeniusElements finite elements (for silu_mul: that are larger than
/// kAbsoluteTolerance); for fewer, cancellation makes the ratio meaningless.
double frobeniusLimit(const Descriptor &descriptor);
inline constexpr int64_t kFrobeniusElements = 32;
/// The absolute part of an element's tolerance.
inline constexpr double kAbsoluteTolerance = 1e-6;

/// |y - ref| that is accepted for one element: u_out |ref| + c u_w spread + 1e-6, with u_w the unit
/// roundoff of the activations' type (weights are dequantized to it) and u_out of the output's; c
/// is 8, for bf16 12.
double elementTolerance(const Descriptor &descriptor, double reference, double spread);

struct Comparison {
  int64_t elements = 0;
  int64_t failures = 0;  ///< elements out of tolerance, unwritten ones included
  int64_t unwritten = 0; ///< elements that still hold kPoison
  double maxError = 0;   ///< largest |y - ref|; infinity when a finite result was not finite
  double maxRatio = 0;   ///< largest |y - ref| / tolerance
  /// ||y - ref|| / ||max(|ref|, spread)|| over the elements with a finite reference
  double relativeFrobenius = 0;
  double frobeniusLimit = 0;               ///< 0 when not applied
  int64_t row = 0, column = 0;             ///< of the element with maxRatio
  double got = 0, want = 0, tolerance = 0; ///< of that element

  bool passed() const {
    return failures == 0 && (frobeniusLimit == 0 || relativeFrobenius <= frobeniusLimit);
  }
  /// One line: the worst element, or that all is within tolerance.
  std::string explain() const;
};

/// Compares y, [rows, columns] values of descriptor.out with row stride ldy, with the reference. A
/// NaN passes only where the reference is NaN, an infinity where the reference is the same infinity
/// or within its tolerance of the type's overflow threshold. threads 0: all of the machine.
/// Thread-safe.
Comparison compareOutput(const Descriptor &descriptor, const Reference &reference,
                         const uint16_t *y, int64_t ldy, int threads = 0);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_COMPARE_H
