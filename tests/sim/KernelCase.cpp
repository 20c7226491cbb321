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

/// What a kernel reads and writes.
struct CaseData {
  PackedWeights packed;
  std::vector<uint16_t> x, y;
  std::vector<uint8_t> workspace;
  int64_t ldx = 0, ldy = 0;
};

CaseData makeData(const QuantizedMatrix &matrix, const LaunchFacts &facts,
                  const std::vector<uint16_t> &dense, int64_t m, int64_t k, int64_t columns) {
  CaseData data;
  data.packed = packWeights(matrix);
  // A 16-byte X loader gets padded rows, an element loader gets the odd stride.
  data.ldx = facts.xVector == 16 ? (k + 7) / 8 * 8 : k;
  data.ldy = columns + 3;
  data.x.assign(size_t(m * data.ldx), kPoison);
  for (int64_t row = 0; row < m; ++row)
    std::copy_n(dense.begin() + row * k, k, data.x.begin() + row * data.ldx);
  data.y.assign(size_t(m * data.ldy), kPoison);
  data.workspace.assign(size_t(facts.workspaceBytes(m)), 0);
  return data;
}

LinearArgs addBuffers(Launch &launch, CaseData &data, int64_t m) {
  LinearArgs args;
  args.weights = addBuffer(launch, "weights", data.packed.weights, false);
  args.scales = addBuffer(launch, "scales", data.packed.scales, false);
  args.zeros = addBuffer(launch, "zeros", data.packed.zeros, false);
  args.groupOf = addBuffer(launch, "group_of", data.packed.groupOf, false);
  args.perm = addBuffer(launch, "perm", data.packed.perm, false);
  args.bias = addBuffer(launch, "bias", data.packed.bias, false);
  args.x = addBuffer(launch, "x", data.x, false);
  args.y = addBuffer(launch, "y", data.y, true);
  args.workspace = addBuffer(launch, "workspace", data.workspace, true);
  args.ldx = data.ldx;
  args.ldy = data.ldy;
  args.m = int32_t(m);
  args.counterBytes = int32_t(kCounterBytes);
  return args;
}

/// What a kernel must leave alone, or as it was.
void checkSurroundings(const CaseData &data, const LaunchFacts &facts, int64_t m, int64_t columns,
                       Report &report) {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = columns; column < data.ldy; ++column)
      if (data.y[size_t(row * data.ldy + column)] != kPoison)
        report.errors.emplace_back(
            fmt::format("y[{}][{}] behind the row was overwritten", row, column));
  const int64_t counters = facts.splitK > 1 ? kCounterBytes : 0;
  if (std::any_of(data.workspace.begin(), data.workspace.begin() + counters,
                  [](uint8_t byte) { return byte != 0; }))
    report.errors.emplace_back("a split-K counter was not left at zero");
}

} // namespace

Report runCase(KernelEntry kernel, const LaunchFacts &facts, const std::string &descriptorText,
               int64_t m, Inputs inputs, uint64_t seed) {
  Report report;
  const Result<Descriptor> descriptor = Descriptor::parse(descriptorText);
  if (!descriptor) {
    report.errors.emplace_back(descriptor.status().message());
    return report;
  }
  Result<QuantizedMatrix> matrix = syntheticLayer(*descriptor, seed, 1);
  if (!matrix) {
    report.errors.emplace_back(matrix.status().message());
    return report;
  }
  const int64_t k = descriptor->k, columns = descriptor->outputColumns();
  const std::vector<uint16_t> dense =
      syntheticActivations(inputs, m, k, descriptor->act, seed + 1, 1);
  CaseData data = makeData(*matrix, facts, dense, m, k, columns);

  Launch launch;
  const Call call = {kernel, addBuffers(launch, data, m)};
  // A persistent kernel gets too few blocks, so that they walk over several row tiles.
  const int64_t blocksN = facts.persistent ? (facts.blocksN() + 2) / 3 : facts.blocksN();
  launch.grid = {unsigned(blocksN * facts.cluster), unsigned(facts.blocksM(m)),
                 unsigned(facts.splitK)};
  launch.cluster = facts.cluster;
  launch.threads = facts.threads;
  launch.sharedBytes = size_t(facts.sharedBytes);
  launch.kernel = [](const void *context) {
    const auto *one = static_cast<const Call *>(context);
    one->kernel(one->args);
  };
  launch.context = &call;
  report = run(launch);

  const Reference reference = referenceLinear(*matrix, dense.data(), k, m, 1);
  const Comparison comparison = compareOutput(*descriptor, reference, data.y.data(), data.ldy, 1);
  if (!comparison.passed())
    report.errors.emplace_back(comparison.explain());
  checkSurroundings(data, facts, m, columns, report);
  return report;
}

} // namespace gptqc::sim
