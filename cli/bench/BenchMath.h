// What a measured time is compared with: bytes, floating-point operations, the limit of the
// machine; and the statistics of repeated measurements.
#ifndef GPTQC_CLI_BENCH_BENCHMATH_H
#define GPTQC_CLI_BENCH_BENCHMATH_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/Descriptor.h"

namespace gptqc::cli {

/// Median and spread of some measurements, in their unit.
struct Timing {
  double median = 0, p10 = 0, p90 = 0;
};
/// Percentiles by linear interpolation; `samples` must not be empty.
Timing summarize(std::vector<double> samples);

/// Where the experts' rows of m begin, for a layer that has experts; else empty.
std::vector<int32_t> benchOffsets(const Descriptor &descriptor, int64_t m);

/// Bytes that a problem must move at least once: codes, scales, zeros, permutation, bias, X and Y,
/// without any padding; of a grouped layer, those of the experts that have rows.
int64_t problemBytes(const Descriptor &descriptor, int64_t m);
/// 2 M N K.
double problemFlops(const Descriptor &descriptor, int64_t m);

/// What a GPU reaches in practice.
struct MachineLimits {
  double bytesPerSecond = 0; ///< pure read with 16-byte loads
  double flopsPerSecond = 0; ///< dense 16-bit tensor-core GEMM, short bursts
  double launchSeconds = 0;  ///< launch and ramp-up of a kernel inside a graph
};
/// By short device name (Target::name), measured; nothing for GPUs that have not been measured.
std::optional<MachineLimits> limitsOf(const std::string &deviceName);

/// launch + max(bytes / bandwidth, operations / rate), microseconds.
double limitMicroseconds(const MachineLimits &limits, const Descriptor &descriptor, int64_t m);

/// How a point is timed: `launches` per graph, so that `replays` replays take about the time asked
/// for.
struct ReplayPlan {
  int launches = 1;
  int replays = 5;
};
/// `microseconds`: estimate of one launch; `copies`: weights rotate over so many buffers, all of
/// which a graph must touch. 5 to 25 replays.
ReplayPlan planReplays(double microseconds, double budgetMilliseconds, int copies);

/// Copies of `bytes` that exceed four times the L2 cache; at least 1, at most 512.
int rotationCopies(int64_t bytes, int64_t l2Bytes);

/// The token counts to measure for a descriptor: those of `wanted` in its range, or, when `wanted`
/// is empty, the upper end of the range (the lower one when it is open).
std::vector<int64_t> benchTokens(const Descriptor &descriptor, const std::vector<int64_t> &wanted);

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_BENCHMATH_H
