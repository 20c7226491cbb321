// Statistics of repeated measurements.
#ifndef GPTQC_RUNTIME_CORE_STATISTICS_H
#define GPTQC_RUNTIME_CORE_STATISTICS_H

#include <algorithm>
#include <vector>

namespace gptqc {

/// The value that a share `p` (0 to 1) of the samples is not above, by linear interpolation;
/// `sorted` ascends and is not empty.
inline double quantile(const std::vector<double> &sorted, double p) {
  const double position = p * double(sorted.size() - 1);
  const size_t below = size_t(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - double(below)) * (sorted[above] - sorted[below]);
}

/// The middle of samples in any order; `samples` is not empty.
inline double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return quantile(samples, 0.5);
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_STATISTICS_H
