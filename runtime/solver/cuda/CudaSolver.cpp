// The host side of templates/support/solver.cu; Factor.cpp and Solve.cpp explain the method.
#include "runtime/solver/cuda/CudaSolver.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/solver/Ladder.h"
#include "runtime/solver/Samples.h"

namespace gptqc {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRowsPerBlock = 32, kWarps = 8, kTile = 32, kLargestGridY = 65535;

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// As the kernels number the types.
int32_t typeNumber(ElementType type) {
  return type == ElementType::F16 ? 1 : type == ElementType::BF16 ? 2 : 0;
}
DType dtypeOf(ElementType type) { return type == ElementType::F16 ? DType::F16 : DType::BF16; }

/// Positions group by group, and where each group starts.
std::pair<std::vector<int32_t>, std::vector<int32_t>> groupTables(const ColumnOrder &order) {
  std::vector<int32_t> byGroup, starts = {0};
  for (int64_t group = 0; group < order.groups; ++group) {
    const std::span<const int32_t> positions = order.positionsOf(group);
    byGroup.insert(byGroup.end(), positions.begin(), positions.end());
    starts.push_back(int32_t(byGroup.size()));
  }
  return {std::move(byGroup), std::move(starts)};
}

} // namespace

Result<std::unique_ptr<CudaSolver>>
CudaSolver::create(const Device &device, const KernelImage &image, const CudaLibraryPaths &paths) {
  GPTQC_ASSIGN(Stream stream, Stream::create(device));
  std::unique_ptr<CudaSolver> solver(new CudaSolver(device, std::move(stream)));
  GPTQC_ASSIGN(CudaMath math, CudaMath::open(solver->stream, paths.cusolver));
  solver->math = std::make_unique<CudaMath>(std::move(math));
  GPTQC_ASSIGN(Cublas blas, Cublas::open(solver->stream, paths.cublas));
  solver->blas = std::make_unique<Cublas>(std::move(blas));
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  GPTQC_ASSIGN(solver->hessianDiagonal, module.function("hessian_diagonal"));
  GPTQC_ASSIGN(solver->reverseHessian, module.function("reverse_hessian"));
  GPTQC_ASSIGN(solver->dampHessian, module.function("damp_hessian", kTileSharedBytes));
  GPTQC_ASSIGN(solver->reverseMemory, module.function("reverse_memory"));
  GPTQC_ASSIGN(solver->gatherWeights, module.function("gather_weights"));
  GPTQC_ASSIGN(solver->takeSamples, module.function("take_samples"));
  GPTQC_ASSIGN(solver->findGrids, module.function("find_grids"));
  GPTQC_ASSIGN(solver->quantizeColumns, module.function("quantize_columns", kQuantizeSharedBytes));
  GPTQC_ASSIGN(solver->roundSamples, module.function("round_samples"));
  GPTQC_ASSIGN(solver->samplePower, module.function("sample_power"));
  GPTQC_ASSIGN(solver->writeQuantized, module.function("write_quantized", kTileSharedBytes));
  return solver;
}

Status CudaSolver::launch(const Function &function, int64_t x, int64_t y,
                          const SolverArgs &args) const {
  return function.launch({x, y, 1}, kThreads, &args, stream);
}

Result<bool> CudaSolver::attempt(CudaFactor &factor, SolverArgs args, double mean, double extra) {
  const int64_t k = factor.facts.k, tiles = ceilDiv(k, kTile);
  args.mean = float(mean);
  args.extra = float(extra);
  GPTQC_TRY(launch(dampHessian, tiles, tiles, args));
  GPTQC_ASSIGN(const bool positive, math->cholesky(k, factor.upper.address()));
  if (!positive)
    return false;
  GPTQC_TRY(math->invertLower(k, factor.upper.address()));
  constexpr int64_t kMostBlocks = 4096;
  GPTQC_TRY(launch(reverseMemory, std::min(kMostBlocks, ceilDiv(k * k, 2 * kThreads)), 1, args));
  return true;
}

Status CudaSolver::climb(CudaFactor &factor, const SolverArgs &args, const SolverOptions &options) {
  const Magnitude magnitude(factor.facts.diagonal);
  for (const Rung &rung : dampingLadder(options.damp)) {
    factor.facts.damp = rung.damp;
    factor.facts.recovery = rung.recovery;
    const double extra = rung.damp * magnitude.mean + rung.floor * magnitude.largest;
    GPTQC_ASSIGN(const bool done, attempt(factor, args, magnitude.mean, extra));
    if (done)
      return Status();
  }
  factor.facts = diagonalFactor(factor.facts, options);
  Status status = factor.upper.write(factor.facts.upper.data(),
                                     int64_t(factor.facts.upper.size() * sizeof(float)));
  factor.facts.upper.clear();
  return status;
}

Status CudaSolver::readDiagonal(const SolverArgs &args, CudaFactor &factor) {
  GPTQC_TRY(launch(hessianDiagonal, ceilDiv(args.k, kThreads), 1, args));
  GPTQC_TRY(stream.synchronize());
  GPTQC_ASSIGN(factor.facts.diagonal, factor.diagonal.download<float>(args.k));
  // A NaN or infinity in x makes its square on the diagonal one.
  for (size_t i = 0; i < factor.facts.diagonal.size(); ++i) {
    float &value = factor.facts.diagonal[i];
    if (!std::isfinite(value))
      return invalidArgument("input channel {} is NaN or infinite for some calibration token", i);
    value = std::max(0.0f, value);
  }
  return Status();
}

Result<CudaFactor> CudaSolver::factor(const CudaHessian &hessian, const SolverOptions &options,
                                      CudaFactor reused) {
  const int64_t k = hessian.k;
  CudaFactor factor = std::move(reused);
  factor.facts = Factor();
  factor.facts.k = k;
  GPTQC_TRY(factor.upper.reserve(device, k * k * 4));
  GPTQC_TRY(factor.diagonal.reserve(device, k * 4));
  SolverArgs args;
  args.hessian = hessian.values;
  args.scale = hessian.scale;
  args.diagonal = factor.diagonal.address();
  args.upper = factor.upper.address();
  args.k = k;
  GPTQC_ASSIGN(Event start, Event::create(device));
  GPTQC_ASSIGN(Event end, Event::create(device));
  GPTQC_TRY(start.record(stream));
  GPTQC_TRY(readDiagonal(args, factor));
  factor.facts.order = ColumnOrder::make(factor.facts.diagonal, options);
  const auto [byGroup, starts] = groupTables(factor.facts.order);
  GPTQC_ASSIGN(factor.column, DeviceBuffer::upload(device, factor.facts.order.column));
  GPTQC_ASSIGN(factor.group, DeviceBuffer::upload(device, factor.facts.order.group));
  GPTQC_ASSIGN(factor.byGroup, DeviceBuffer::upload(device, byGroup));
  GPTQC_ASSIGN(factor.starts, DeviceBuffer::upload(device, starts));
  args.column = factor.column.address();
  GPTQC_TRY(launch(reverseHessian, ceilDiv(k, kThreads), std::min(k, kLargestGridY), args));
  GPTQC_TRY(climb(factor, args, options));
  GPTQC_TRY(end.record(stream));
  GPTQC_TRY(end.synchronize());
  GPTQC_ASSIGN(factor.milliseconds, end.millisecondsSince(start));
  return factor;
}

Result<CudaFactor> CudaSolver::factor(const Hessian &hessian, const SolverOptions &options) {
  GPTQC_ASSIGN(const DeviceBuffer values, DeviceBuffer::upload(device, hessian.values));
  return factor(CudaHessian{hessian.k, values.address(), 1}, options);
}

Result<SolverArgs> CudaSolver::prepare(const CudaWeights &weights, const CudaFactor &factor,
                                       const SolverOptions &options) {
  const int64_t n = weights.n, k = weights.k, groups = factor.facts.order.groups;
  const int64_t sampled = std::min(n, RowSamples::kMostRows);
  SolverArgs args;
  const auto place = [&](DeviceBuffer &buffer, int64_t bytes, uint64_t &address) {
    Status status = buffer.reserve(device, bytes);
    address = buffer.address();
    return status;
  };
  GPTQC_TRY(place(memory.weights, n * k * 4, args.weights));
  GPTQC_TRY(place(memory.errors, n * kSolverBlock * 4, args.errors));
  GPTQC_TRY(place(memory.codes, n * k, args.codes));
  GPTQC_TRY(place(memory.scales, groups * n * 4, args.scales));
  GPTQC_TRY(place(memory.zeros, groups * n, args.zeros));
  GPTQC_TRY(place(memory.loss, n * 4, args.loss));
  GPTQC_TRY(place(memory.rejected, 4, args.rejected));
  GPTQC_TRY(place(memory.samples, 2 * sampled * k * 4, args.samples));
  GPTQC_TRY(memory.loss.fill(0, stream));
  GPTQC_TRY(memory.rejected.fill(0, stream));
  args.column = factor.column.address();
  args.group = factor.group.address();
  args.byGroup = factor.byGroup.address();
  args.starts = factor.starts.address();
  args.diagonal = factor.diagonal.address();
  args.upper = factor.upper.address();
  args.source = weights.data;
  args.sourceType = typeNumber(weights.type);
  args.n = n;
  args.k = k;
  args.sampled = int32_t(sampled);
  args.limit = largestWeight(options);
  args.maxCode = (1 << options.bits) - 1;
  args.sym = options.sym;
  args.mse = options.mse;
  args.stored = options.scales == ScaleMode::Stored;
  args.zeroFromOne = options.zeroFromOne;
  return args;
}

Status CudaSolver::makeGrids(int64_t first, int64_t count, SolverArgs args) const {
  for (const int64_t end = first + count; first < end; first += kLargestGridY) {
    args.begin = first;
    GPTQC_TRY(
        launch(findGrids, ceilDiv(args.n, kWarps), std::min(kLargestGridY, end - first), args));
  }
  return Status();
}

Status CudaSolver::runBlocks(const CudaFactor &factor, SolverArgs args,
                             const SolverOptions &options) {
  const ColumnOrder &order = factor.facts.order;
  const int64_t n = args.n, k = args.k;
  GPTQC_TRY(launch(gatherWeights, ceilDiv(k, kThreads), std::min(n, kLargestGridY), args));
  GPTQC_TRY(launch(takeSamples, ceilDiv(k, kThreads), args.sampled, args));
  if (order.staticGrids)
    GPTQC_TRY(makeGrids(0, order.groups, args));
  for (int64_t begin = 0; begin < k;) {
    const int64_t end = blockEnd(order, begin, options);
    for (int64_t i = begin; i < end && !order.staticGrids; ++i)
      if (const int64_t group = order.group[size_t(i)]; order.positionsOf(group).front() == i)
        GPTQC_TRY(makeGrids(group, 1, args));
    args.begin = begin;
    args.columns = int32_t(end - begin);
    GPTQC_TRY(launch(quantizeColumns, ceilDiv(n, kRowsPerBlock), 1, args));
    if (end < k)
      GPTQC_TRY(blas->subtractProduct(
          {args.errors, n, end - begin, kSolverBlock},
          {args.upper + uint64_t(begin * k + end) * 4, end - begin, k - end, k},
          {args.weights + uint64_t(end) * 4, n, k - end, k}));
    begin = end;
  }
  return Status();
}

/// The power of the sampled rows' outputs, and of what rounding to nearest loses of them.
Status CudaSolver::measureSamples(const CudaFactor &factor, SolverArgs args) {
  const int64_t groups = factor.facts.order.groups, sampled = args.sampled, k = args.k;
  GPTQC_TRY(memory.sampleScales.reserve(device, groups * sampled * 4));
  GPTQC_TRY(memory.sampleZeros.reserve(device, groups * sampled));
  GPTQC_TRY(memory.power.reserve(device, 2 * sampled * 4));
  args.weights = args.samples;
  args.n = sampled;
  args.scales = memory.sampleScales.address();
  args.zeros = memory.sampleZeros.address();
  args.loss = memory.power.address();
  GPTQC_TRY(makeGrids(0, groups, args));
  GPTQC_TRY(launch(roundSamples, ceilDiv(k, kThreads), sampled, args));
  GPTQC_TRY(blas->solveRight(2 * sampled, k, args.upper, args.samples));
  return launch(samplePower, ceilDiv(2 * sampled, kWarps), 1, args);
}

Result<LayerSolution> CudaSolver::collect(const CudaFactor &factor, const SolverArgs &args) {
  const ColumnOrder &order = factor.facts.order;
  const int64_t n = args.n, k = args.k, sampled = args.sampled;
  LayerSolution solution;
  solution.n = n;
  solution.k = k;
  solution.groups = order.groups;
  GPTQC_ASSIGN(solution.codes, memory.codes.download<uint8_t>(n * k));
  GPTQC_ASSIGN(solution.zeros, memory.zeros.download<uint8_t>(order.groups * n));
  GPTQC_ASSIGN(solution.scales, memory.scales.download<float>(order.groups * n));
  GPTQC_ASSIGN(const std::vector<float> rowLoss, memory.loss.download<float>(n));
  GPTQC_ASSIGN(const std::vector<float> power, memory.power.download<float>(2 * sampled));
  solution.groupIndex.resize(size_t(k));
  for (int64_t i = 0; i < k; ++i)
    solution.groupIndex[size_t(order.column[size_t(i)])] = order.group[size_t(i)];
  solution.damp = factor.facts.damp;
  solution.recovery = factor.facts.recovery;
  for (float loss : rowLoss)
    solution.loss += loss;
  double signal = 0, before = 0, after = 0;
  for (int64_t sample = 0; sample < sampled; ++sample) {
    signal += power[size_t(sample)];
    before += power[size_t(sampled + sample)];
    after += rowLoss[size_t(RowSamples::rowOf(sample, sampled, n))];
  }
  if (signal > 0) {
    solution.errorBefore = std::sqrt(before / signal);
    solution.errorAfter = std::sqrt(after / signal);
  }
  return solution;
}

/// W as floats on the host, by way of the memory that the column loop works in.
Result<std::vector<float>> CudaSolver::download(const CudaWeights &weights) {
  const int64_t count = weights.n * weights.k;
  const bool wide = weights.type == ElementType::F32;
  GPTQC_TRY(memory.weights.copyFrom(weights.data, count * (wide ? 4 : 2), stream));
  GPTQC_TRY(stream.synchronize());
  if (wide)
    return memory.weights.download<float>(count);
  GPTQC_ASSIGN(const std::vector<uint16_t> bits, memory.weights.download<uint16_t>(count));
  std::vector<float> values;
  values.reserve(bits.size());
  for (const uint16_t word : bits)
    values.push_back(toFloat(word, dtypeOf(weights.type)));
  return values;
}

/// Without updates of other columns, on the host: a solution that cannot overflow.
Result<LayerSolution> CudaSolver::solvePlainly(const CudaWeights &weights, const CudaFactor &factor,
                                               const SolverOptions &options) {
  const Factor plain = diagonalFactor(factor.facts, options);
  GPTQC_ASSIGN(const std::vector<float> values, download(weights));
  GPTQC_ASSIGN(LayerSolution solution,
               solveLayer(values, weights.n, weights.k, plain, options, Blas::best()));
  GPTQC_TRY(memory.codes.write(solution.codes.data(), int64_t(solution.codes.size())));
  GPTQC_TRY(memory.zeros.write(solution.zeros.data(), int64_t(solution.zeros.size())));
  GPTQC_TRY(memory.scales.write(solution.scales.data(), int64_t(solution.scales.size() * 4)));
  return solution;
}

Result<LayerSolution> CudaSolver::solve(const CudaWeights &weights, const CudaFactor &factor,
                                        const SolverOptions &options, const CudaWeights *quantized,
                                        double *milliseconds) {
  GPTQC_TRY(validate(options));
  GPTQC_TRY(checkSizes(weights.n, weights.k, factor.facts));
  GPTQC_ASSIGN(SolverArgs args, prepare(weights, factor, options));
  GPTQC_ASSIGN(Event start, Event::create(device));
  GPTQC_ASSIGN(Event end, Event::create(device));
  GPTQC_TRY(start.record(stream));
  GPTQC_TRY(runBlocks(factor, args, options));
  GPTQC_TRY(end.record(stream));
  GPTQC_TRY(measureSamples(factor, args));
  GPTQC_TRY(stream.synchronize());
  if (milliseconds) {
    GPTQC_ASSIGN(*milliseconds, end.millisecondsSince(start));
  }
  GPTQC_ASSIGN(const std::vector<uint32_t> rejected, memory.rejected.download<uint32_t>());
  if (rejected[0] > 0) {
    GPTQC_ASSIGN(const std::vector<float> values, download(weights));
    GPTQC_TRY(checkLayer(values, weights.n, weights.k, factor.facts, options));
  }
  GPTQC_ASSIGN(LayerSolution solution, collect(factor, args));
  if (!isFinite(solution) && factor.facts.recovery != Recovery::Diagonal) {
    GPTQC_ASSIGN(solution, solvePlainly(weights, factor, options));
  }
  if (quantized) {
    args.quantized = quantized->data;
    args.quantizedType = typeNumber(quantized->type);
    GPTQC_TRY(launch(writeQuantized, ceilDiv(args.k, kTile), ceilDiv(args.n, kTile), args));
    GPTQC_TRY(stream.synchronize());
  }
  return solution;
}

Result<LayerSolution> CudaSolver::solve(std::span<const float> weights, int64_t n, int64_t k,
                                        const CudaFactor &factor, const SolverOptions &options,
                                        double *milliseconds) {
  GPTQC_TRY(checkLayer(weights, n, k, factor.facts, options));
  GPTQC_ASSIGN(const DeviceBuffer source, DeviceBuffer::upload(device, weights.data(), n * k * 4));
  return solve({source.address(), n, k, ElementType::F32}, factor, options, nullptr, milliseconds);
}

} // namespace gptqc
