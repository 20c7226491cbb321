// Sets a simulated case up and judges it.
#include "tests/sim/KernelCase.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/WeightLayout.h"
#include "runtime/cpu/Compare.h"

namespace gptqc::sim {

namespace {

/// A vector as a buffer of simulated global memory.
template <typename T>
uint64_t addBuffer(Launch &launch, std::string name, std::vector<T> &data, bool writable) {
  if (data.empty())
    return 0;
  launch.buffers.push_back({std::move(name), reinterpret_cast<uint8_t *>(data.data()),
                            data.size() * sizeof(T), writable});
  return reinterpret_cast<uint64_t>(data.data());
}

struct Call {
  KernelEntry kernel;
  LinearArgs args;
};

} // namespace

Report runCase(KernelEntry kernel, const LaunchFacts &facts, const std::string &descriptorText,
               int64_t m, Inputs inputs, uint64_t seed) {
  Report report;
  const Result<Descriptor> descriptor = Descriptor::parse(descriptorText);
  if (!descriptor) {
    report.errors.push_back(descriptor.status().message());
    return report;
  }
  Result<QuantizedMatrix> matrix = syntheticLayer(*descriptor, seed, 1);
  if (!matrix) {
    report.errors.push_back(matrix.status().message());
    return report;
  }
  PackedWeights packed = packWeights(*matrix);
  const int64_t k = descriptor->k, columns = descriptor->outputColumns();
  // A 16-byte X loader gets padded rows, an element loader gets the odd stride.
  const int64_t ldx = facts.xVector == 16 ? (k + 7) / 8 * 8 : k;
  const int64_t ldy = columns + 3;
  const std::vector<uint16_t> dense =
      syntheticActivations(inputs, m, k, descriptor->act, seed + 1, 1);
  std::vector<uint16_t> x(size_t(m * ldx), kPoison);
  for (int64_t row = 0; row < m; ++row)
    std::copy_n(dense.begin() + row * k, k, x.begin() + row * ldx);
  std::vector<uint16_t> y(size_t(m * ldy), kPoison);
  std::vector<uint8_t> workspace(size_t(facts.workspaceBytes(m)), 0);

  Launch launch;
  LinearArgs args;
  args.weights = addBuffer(launch, "weights", packed.weights, false);
  args.scales = addBuffer(launch, "scales", packed.scales, false);
  args.zeros = addBuffer(launch, "zeros", packed.zeros, false);
  args.groupOf = addBuffer(launch, "group_of", packed.groupOf, false);
  args.perm = addBuffer(launch, "perm", packed.perm, false);
  args.bias = addBuffer(launch, "bias", packed.bias, false);
  args.x = addBuffer(launch, "x", x, false);
  args.y = addBuffer(launch, "y", y, true);
  args.workspace = addBuffer(launch, "workspace", workspace, true);
  args.ldx = ldx;
  args.ldy = ldy;
  args.m = int32_t(m);
  args.counterBytes = int32_t(kCounterBytes);
  launch.grid = {unsigned(facts.blocksN()), unsigned(facts.blocksM(m)), unsigned(facts.splitK)};
  launch.threads = facts.threads;
  launch.sharedBytes = size_t(facts.sharedBytes);
  const Call call = {kernel, args};
  launch.kernel = [](const void *context) {
    const auto *one = static_cast<const Call *>(context);
    one->kernel(one->args);
  };
  launch.context = &call;
  report = run(launch);

  const Reference reference = referenceLinear(*matrix, dense.data(), k, m, 1);
  const Comparison comparison = compareOutput(*descriptor, reference, y.data(), ldy, 1);
  if (!comparison.passed())
    report.errors.push_back(comparison.explain());
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = columns; column < ldy; ++column)
      if (y[size_t(row * ldy + column)] != kPoison)
        report.errors.push_back(
            fmt::format("y[{}][{}] behind the row was overwritten", row, column));
  const int64_t counters = facts.splitK > 1 ? kCounterBytes : 0;
  if (std::any_of(workspace.begin(), workspace.begin() + counters,
                  [](uint8_t byte) { return byte != 0; }))
    report.errors.push_back("a split-K counter was not left at zero");
  return report;
}

} // namespace gptqc::sim
