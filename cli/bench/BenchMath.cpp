// Limits and statistics; bench/README.md says where the numbers come from.
#include "cli/bench/BenchMath.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Statistics.h"
#include "runtime/cpu/Synthetic.h"

namespace gptqc::cli {

Timing summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return {quantile(samples, 0.5), quantile(samples, 0.1), quantile(samples, 0.9)};
}

std::vector<int32_t> benchOffsets(const Descriptor &descriptor, int64_t m) {
  if (!descriptor.grouped())
    return {};
  return syntheticOffsets(Routing::Uniform, descriptor.experts, m, uint64_t(m));
}

namespace {

/// Experts that have rows; 1 for a plain layer.
int64_t expertsHit(const Descriptor &descriptor, int64_t m) {
  const std::vector<int32_t> offsets = benchOffsets(descriptor, m);
  int64_t hit = offsets.empty() ? 1 : 0;
  for (size_t e = 1; e < offsets.size(); ++e)
    hit += offsets[e] > offsets[e - 1] ? 1 : 0;
  return hit;
}

} // namespace

int64_t problemBytes(const Descriptor &descriptor, int64_t m) {
  const Descriptor &d = descriptor;
  const int64_t groups = d.groupCount();
  int64_t bytes = (d.n * d.k * d.bits + 7) / 8; // codes
  bytes += groups * d.n * (d.sym ? 2 : 3);      // scales, and a byte per zero point
  bytes += d.actOrder ? d.k * 4 : 0;
  bytes += d.bias ? d.n * 2 : 0;
  return bytes * expertsHit(d, m) + m * (d.k + d.outputColumns()) * 2;
}

double problemFlops(const Descriptor &descriptor, int64_t m) {
  return 2.0 * double(m) * double(descriptor.n) * double(descriptor.k);
}

std::optional<MachineLimits> limitsOf(const std::string &deviceName) {
  if (deviceName == "h200")
    return MachineLimits{4.65e12, 757e12, 1.5e-6};
  return std::nullopt;
}

double limitMicroseconds(const MachineLimits &limits, const Descriptor &descriptor, int64_t m) {
  const double read = double(problemBytes(descriptor, m)) / limits.bytesPerSecond;
  const double compute = problemFlops(descriptor, m) / limits.flopsPerSecond;
  return 1e6 * (limits.launchSeconds + std::max(read, compute));
}

ReplayPlan planReplays(double microseconds, double budgetMilliseconds, int copies) {
  constexpr int kTypicalReplays = 15, kMaxLaunches = 4096;
  const double total = std::max(1.0, 1000 * budgetMilliseconds / std::max(microseconds, 0.1));
  ReplayPlan plan;
  plan.launches =
      std::clamp(int(std::min(total / kTypicalReplays, 1e6)), std::max(1, copies), kMaxLaunches);
  plan.replays = std::clamp(int(std::lround(total / plan.launches)), 5, 25);
  return plan;
}

int rotationCopies(int64_t bytes, int64_t l2Bytes) {
  const int64_t copies = (4 * l2Bytes + bytes) / std::max<int64_t>(bytes, 1); // exceeds, not equals
  return int(std::clamp<int64_t>(copies, 1, 512));
}

std::vector<int64_t> benchTokens(const Descriptor &descriptor, const std::vector<int64_t> &wanted) {
  if (wanted.empty())
    return {descriptor.m.hi == kUnboundedM ? descriptor.m.lo : descriptor.m.hi};
  std::vector<int64_t> tokens;
  for (int64_t m : wanted)
    if (m >= descriptor.m.lo && m <= descriptor.m.hi)
      tokens.push_back(m);
  return tokens;
}

} // namespace gptqc::cli
