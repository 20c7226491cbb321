// Sets a simulated case up and judges it.
#include "tests/sim/KernelCase.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/cpu/Compare.h"

namespace gptqc::sim {

namespace {

/// A vector as a buffer of simulated global memory.
template <typename T>
uint64_t addBuffer(Launch &launch, std::string name, std::vector<T> &data, bool writable,
                   bool dependent) {
  if (data.empty())
    return 0;
  launch.buffers.push_back({std::move(name), reinterpret_cast<uint8_t *>(data.data()),
                            data.size() * sizeof(T), writable, dependent});
  return reinterpret_cast<uint64_t>(data.data());
}

struct Call {
  KernelEntry kernel;
  LinearArgs args;
  TensorMap x; ///< the second parameter of kernels that have one
};

/// X as the copy engine sees it.
TensorMap mapX(const LaunchFacts &facts, const LinearArgs &args, int64_t k) {
  TensorMap map;
  map.base = args.x;
  map.columns = k;
  map.rows = args.m;
  map.strideBytes = args.ldx * 2;
  map.boxColumns = 64;
  map.boxRows = facts.xBoxRows;
  map.swizzle = 128;
  return map;
}

void callKernel(const void *context) {
  const auto *one = static_cast<const Call *>(context);
  if (one->x.boxRows == 0)
    one->kernel(one->args);
  else
    reinterpret_cast<void (*)(LinearArgs, TensorMap)>(reinterpret_cast<void (*)()>(one->kernel))(
        one->args, one->x);
}

CaseData makeData(const QuantizedMatrix &matrix, const LaunchFacts &facts,
                  const std::vector<uint16_t> &dense, int64_t m, Rows rows) {
  const int64_t k = matrix.descriptor.k, columns = matrix.descriptor.outputColumns();
  CaseData data;
  data.packed = packWeights(matrix);
  // A 16-byte X loader gets padded rows, an element loader gets the odd stride.
  data.ldx = facts.xVector == 16 ? (k + 7) / 8 * 8 : k;
  data.ldy = rows == Rows::Odd ? columns + 3 : columns / 8 * 8 + 16;
  data.yOffset = rows == Rows::Shifted ? 1 : 0;
  data.xOffset = facts.permutedK > 0 && rows == Rows::Shifted ? 1 : 0;
  data.x.assign(size_t(data.xOffset + m * data.ldx), kPoison);
  for (int64_t row = 0; row < m; ++row)
    std::copy_n(dense.begin() + row * k, k, data.x.begin() + data.xOffset + row * data.ldx);
  data.permutedX.resize(size_t(m * facts.permutedK));
  data.y.resize(size_t(data.yOffset + m * data.ldy));
  data.workspace.resize(size_t(facts.workspaceBytes(m)));
  return data;
}

/// Buffers of the layer are constant, the others belong to the kernels around.
LinearArgs addBuffers(Launch &launch, CaseData &data, int64_t m) {
  LinearArgs args;
  args.weights = addBuffer(launch, "weights", data.packed.weights, false, false);
  args.scales = addBuffer(launch, "scales", data.packed.scales, false, false);
  args.zeros = addBuffer(launch, "zeros", data.packed.zeros, false, false);
  args.groupOf = addBuffer(launch, "group_of", data.packed.groupOf, false, false);
  args.perm = addBuffer(launch, "perm", data.packed.perm, false, false);
  args.bias = addBuffer(launch, "bias", data.packed.bias, false, false);
  args.y = addBuffer(launch, "y", data.y, true, true) + uint64_t(2 * data.yOffset);
  launch.buffers.back().data += 2 * data.yOffset;
  launch.buffers.back().bytes -= size_t(2 * data.yOffset);
  args.expertOffsets = addBuffer(launch, "expert_offsets", data.offsets, false, true);
  args.workspace = addBuffer(launch, "workspace", data.workspace, true, true);
  args.ldy = data.ldy;
  args.m = int32_t(m);
  args.counterBytes = int32_t(kCounterBytes);
  return args;
}

} // namespace

Inputs inputsOf(uint64_t seed) { return kAllInputs[seed % std::size(kAllInputs)]; }
Routing routingOf(uint64_t seed) { return kAllRoutings[seed % std::size(kAllRoutings)]; }
bool runsBackwards(uint64_t seed) { return seed / 2 % 2 == 1; }
Rows rowsOf(uint64_t seed) {
  return seed % 4 == 1 ? Rows::Aligned : seed % 4 == 2 ? Rows::Shifted : Rows::Odd;
}
bool isSequential(uint64_t seed) { return seed % 4 == 2; }

Result<CaseInputs> makeInputs(const Descriptor &descriptor, int64_t m, uint64_t seed) {
  CaseInputs inputs;
  GPTQC_ASSIGN(inputs.matrix, syntheticLayer(descriptor, seed, 1));
  const int64_t k = descriptor.k;
  if (isSequential(seed)) // every expert for itself
    for (auto from = inputs.matrix.groupIndex.begin(); from != inputs.matrix.groupIndex.end();
         from += k)
      std::sort(from, from + k);
  inputs.x = syntheticActivations(inputsOf(seed), m, k, descriptor.act, seed + 1, 1);
  return inputs;
}

Result<CaseRun> CaseRun::prepare(const KernelEntries &kernels, const LaunchFacts &facts,
                                 const std::string &descriptorText, int64_t m, uint64_t seed) {
  CaseRun result;
  result.kernels = kernels;
  result.facts = facts;
  result.m = m;
  result.seed = seed;
  GPTQC_ASSIGN(result.descriptor, Descriptor::parse(descriptorText));
  const Descriptor &d = result.descriptor;
  GPTQC_ASSIGN(const CaseInputs inputs, makeInputs(d, m, seed));
  const auto &[matrix, dense] = inputs;
  result.data = makeData(matrix, facts, dense, m, rowsOf(seed));
  if (d.grouped()) {
    result.data.offsets = syntheticOffsets(routingOf(seed), d.experts, m, seed);
    result.reference = referenceExperts(matrix, result.data.offsets, dense.data(), d.k, 1);
  } else {
    result.reference = referenceLinear(matrix, dense.data(), d.k, m, 1);
  }
  return result;
}

/// As LinearKernel launches it for few rows and for many, but that blocks walk over several lots.
Report CaseRun::permuteX(bool stopAtFirst) {
  const int64_t columns = 8 * int64_t(facts.permuteThreads); // of a block
  std::fill(data.permutedX.begin(), data.permutedX.end(), kPoison);
  Launch launch;
  Call call = {kernels.permuter, {}, {}};
  call.args.perm = addBuffer(launch, "perm", data.packed.perm, false, false);
  call.args.x = addBuffer(launch, "x", data.x, false, true) + uint64_t(2 * data.xOffset);
  launch.buffers.back().data += 2 * data.xOffset;
  launch.buffers.back().bytes -= size_t(2 * data.xOffset);
  call.args.y = addBuffer(launch, "permuted x", data.permutedX, true, true);
  call.args.ldx = data.ldx;
  call.args.ldy = facts.permutedK;
  call.args.m = int32_t(m);
  const int64_t sharing = runsBackwards(seed) ? 1 : (facts.permutedK + columns - 1) / columns;
  launch.grid = {unsigned(sharing), unsigned((m + 7) / 8), 1};
  launch.threads = facts.permuteThreads;
  launch.sharedBytes = size_t(facts.permuteShared);
  launch.backwards = runsBackwards(seed);
  launch.programmatic = true;
  launch.stopAtFirst = stopAtFirst;
  launch.kernel = callKernel;
  launch.context = &call;
  return sim::run(launch);
}

Launch CaseRun::makeLaunch(LinearArgs &args) {
  std::fill(data.y.begin(), data.y.end(), kPoison);
  std::fill(data.workspace.begin(), data.workspace.end(), 0);
  Launch launch;
  args = addBuffers(launch, data, m);
  args.x = addBuffer(launch, "x", facts.permutedK > 0 ? data.permutedX : data.x, false, true);
  args.ldx = facts.permutedK > 0 ? facts.permutedK : data.ldx;
  // A persistent kernel gets too few blocks, so that they walk over several items, and use what
  // they share with each other again.
  const int64_t share = !facts.persistent ? 1 : runsBackwards(seed) ? 8 * facts.cluster : 3;
  const int64_t clusters = (facts.items(m) + share - 1) / share;
  launch.grid = {unsigned(clusters * facts.cluster), unsigned(facts.gridY(m)),
                 unsigned(facts.splitK)};
  launch.cluster = facts.cluster;
  launch.threads = facts.threads;
  launch.sharedBytes = size_t(facts.sharedBytes);
  launch.backwards = runsBackwards(seed);
  launch.programmatic = facts.overlaps;
  args.overlaps = facts.overlaps && seed % 2 == 0;
  return launch;
}

void CaseRun::checkSurroundings(Report &report) const {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = descriptor.outputColumns(); column < data.ldy; ++column)
      if (y()[row * data.ldy + column] != kPoison)
        report.errors.emplace_back(
            fmt::format("y[{}][{}] behind the row was overwritten", row, column));
  const int64_t counters = data.workspace.empty() ? 0 : kCounterBytes;
  if (std::any_of(data.workspace.begin(), data.workspace.begin() + counters,
                  [](uint8_t byte) { return byte != 0; }))
    report.errors.emplace_back("a split-K counter was not left at zero");
}

Report CaseRun::run(bool stopAtFirst) {
  Report report;
  if (facts.permutedK > 0)
    report = permuteX(stopAtFirst);
  if (!report.clean())
    return report;
  Call call = {kernels.linear, {}, {}};
  Launch launch = makeLaunch(call.args);
  if (facts.xBoxRows > 0)
    call.x = mapX(facts, call.args, facts.permutedK > 0 ? facts.permutedK : descriptor.k);
  launch.stopAtFirst = stopAtFirst;
  launch.kernel = callKernel;
  launch.context = &call;
  // A grouped layer in two launches, as one with more tiles than a grid has: LinearKernel::run.
  const unsigned tiles = launch.grid.y, step = facts.experts > 1 ? (tiles + 1) / 2 : tiles;
  for (unsigned at = 0; at < tiles && report.clean(); at += step) {
    call.args.firstTile = int32_t(at);
    launch.grid.y = std::min(step, tiles - at);
    const Report part = sim::run(launch);
    report.errors = part.errors;
    report.counters += part.counters;
  }
  if (stopAtFirst && !report.clean())
    return report;
  const Comparison comparison = compareOutput(descriptor, reference, y(), data.ldy, 1);
  if (!comparison.passed())
    report.errors.emplace_back(comparison.explain());
  checkSurroundings(report);
  return report;
}

std::vector<uint16_t> CaseRun::output() const {
  const int64_t columns = descriptor.outputColumns();
  std::vector<uint16_t> dense(static_cast<size_t>(m * columns));
  for (int64_t row = 0; row < m; ++row)
    std::copy_n(y() + row * data.ldy, columns, dense.begin() + row * columns);
  return dense;
}

Report runCase(const KernelEntries &kernels, const LaunchFacts &facts,
               const std::string &descriptor, int64_t m, uint64_t seed) {
  Result<CaseRun> run = CaseRun::prepare(kernels, facts, descriptor, m, seed);
  if (run)
    return run->run();
  Report report;
  report.errors.emplace_back(run.status().message());
  return report;
}

} // namespace gptqc::sim
