// Synthetic: random layers for any descriptor, and activations that bring out the usual kernel
// errors. Deterministic for a seed, whatever the number of threads.
#ifndef GPTQC_RUNTIME_CPU_SYNTHETIC_H
#define GPTQC_RUNTIME_CPU_SYNTHETIC_H

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

/// A layer with this descriptor: uniform codes and zeros, positive scales that give weights a
/// standard deviation of about 0.02, a random group table for actorder, random group lengths for
/// ragged, a bias of standard deviation 0.5; experts that all differ. Fails with InvalidArgument
/// for descriptors that no layer has (actorder in a single group, ragged without actorder). threads
/// 0: all of the machine.
Result<QuantizedMatrix> syntheticLayer(const Descriptor &descriptor, uint64_t seed,
                                       int threads = 0);

/// How the rows of a grouped layer are spread over its experts.
enum class Routing {
  Uniform, ///< rows come from tokens that take some different experts each, any of them
  Skewed,  ///< few experts take most rows, every fourth takes none
  One      ///< one expert takes all
};
inline constexpr Routing kAllRoutings[] = {Routing::Uniform, Routing::Skewed, Routing::One};

/// [experts + 1]: where the rows of each expert begin, from 0 to `rows`.
std::vector<int32_t> syntheticOffsets(Routing routing, int64_t experts, int64_t rows,
                                      uint64_t seed);

enum class Inputs {
  Normal,   ///< mean 0, variance 1
  Shifted,  ///< mean 3: sums that do not cancel
  Outlier,  ///< one column 100 times larger: its weights' errors dominate
  NonFinite ///< normal, with a NaN in row m / 2 and, for m >= 3, an infinity in row m / 2 + 1
};
inline constexpr Inputs kAllInputs[] = {Inputs::Normal, Inputs::Shifted, Inputs::Outlier,
                                        Inputs::NonFinite};
/// "normal", "shifted", "outlier", "nonfinite".
std::string_view inputsName(Inputs inputs);

/// [m, k] values of `type`, row stride k.
std::vector<uint16_t> syntheticActivations(Inputs inputs, int64_t m, int64_t k, DType type,
                                           uint64_t seed, int threads = 0);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_SYNTHETIC_H
