// The host side of templates/support/solver.cu; Factor.cpp and Solve.cpp explain the method.
#include "runtime/solver/cuda/CudaSolver.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "runtime/solver/Ladder.h"
#include "runtime/solver/Samples.h"

namespace gptqc {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRowsPerBlock = 32, kWarps = 8, kLargestGridY = 65535;

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

class CudaStageSolver : public StageSolver {
public:
  CudaStageSolver(CudaSolver &solver, const Hessian &hessian) : solver(solver), hessian(hessian) {}

  Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                              const SolverOptions &options) override {
    if (!factor || !shareFactor(options, madeFor)) {
      GPTQC_ASSIGN(factor, solver.factor(hessian, options));
      madeFor = options;
    }
    return solver.solve(weights, n, k, *factor, options);
  }

private:
  CudaSolver &solver;
  const Hessian &hessian;
  std::optional<CudaFactor> factor;
  SolverOptions madeFor;
};

} // namespace

/// A layer's arrays on the GPU, and the arguments that all kernels get.
struct CudaSolver::Layer {
  DeviceBuffer source, weights, errors, codes, scales, zeros, loss;
  SolverArgs args;
};

Result<std::unique_ptr<CudaSolver>> CudaSolver::create(const Device &device,
                                                       const KernelImage &image) {
  GPTQC_ASSIGN(Stream stream, Stream::create(device));
  std::unique_ptr<CudaSolver> solver(new CudaSolver(device, std::move(stream)));
  GPTQC_ASSIGN(CudaMath math, CudaMath::open(solver->stream));
  solver->math = std::make_unique<CudaMath>(std::move(math));
  GPTQC_ASSIGN(Cublas blas, Cublas::open(solver->stream));
  solver->blas = std::make_unique<Cublas>(std::move(blas));
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  GPTQC_ASSIGN(solver->reverseHessian, module.function("reverse_hessian"));
  GPTQC_ASSIGN(solver->dampHessian, module.function("damp_hessian"));
  GPTQC_ASSIGN(solver->reverseMemory, module.function("reverse_memory"));
  GPTQC_ASSIGN(solver->gatherWeights, module.function("gather_weights"));
  GPTQC_ASSIGN(solver->findGrids, module.function("find_grids"));
  GPTQC_ASSIGN(solver->quantizeColumns, module.function("quantize_columns", kQuantizeSharedBytes));
  return solver;
}

Status CudaSolver::launch(const Function &function, int64_t x, int64_t y,
                          const SolverArgs &args) const {
  return function.launch({x, y, 1}, kThreads, &args, stream);
}

Result<bool> CudaSolver::attempt(CudaFactor &factor, SolverArgs args, double mean, double extra) {
  const int64_t k = factor.facts.k, tiles = ceilDiv(k, 32);
  args.mean = float(mean);
  args.extra = float(extra);
  GPTQC_TRY(launch(dampHessian, tiles, tiles, args));
  GPTQC_ASSIGN(const bool positive, math->cholesky(k, factor.upper.address()));
  if (!positive)
    return false;
  GPTQC_TRY(math->invertLower(k, factor.upper.address()));
  GPTQC_TRY(launch(reverseMemory, 4096, 1, args));
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
  Status status = factor.upper.write(factor.facts.upper.data(), factor.upper.bytes());
  factor.facts.upper.clear();
  return status;
}

Result<CudaFactor> CudaSolver::factor(const Hessian &hessian, const SolverOptions &options) {
  const int64_t k = hessian.k;
  CudaFactor factor;
  factor.facts.k = k;
  for (int64_t i = 0; i < k; ++i)
    factor.facts.diagonal.push_back(std::max(0.0f, hessian.values[size_t(i * k + i)]));
  factor.facts.order = ColumnOrder::make(factor.facts.diagonal, options);
  const auto [byGroup, starts] = groupTables(factor.facts.order);
  GPTQC_ASSIGN(const DeviceBuffer h, DeviceBuffer::upload(device, hessian.values));
  GPTQC_ASSIGN(factor.upper, DeviceBuffer::allocate(device, k * k * 4));
  GPTQC_ASSIGN(factor.column, DeviceBuffer::upload(device, factor.facts.order.column));
  GPTQC_ASSIGN(factor.group, DeviceBuffer::upload(device, factor.facts.order.group));
  GPTQC_ASSIGN(factor.byGroup, DeviceBuffer::upload(device, byGroup));
  GPTQC_ASSIGN(factor.starts, DeviceBuffer::upload(device, starts));
  GPTQC_ASSIGN(factor.diagonal, DeviceBuffer::upload(device, factor.facts.diagonal));
  SolverArgs args;
  args.hessian = h.address();
  args.column = factor.column.address();
  args.diagonal = factor.diagonal.address();
  args.upper = factor.upper.address();
  args.k = k;
  GPTQC_ASSIGN(Event start, Event::create(device));
  GPTQC_ASSIGN(Event end, Event::create(device));
  GPTQC_TRY(start.record(stream));
  GPTQC_TRY(launch(reverseHessian, ceilDiv(k, kThreads), k, args));
  GPTQC_TRY(climb(factor, args, options));
  GPTQC_TRY(end.record(stream));
  GPTQC_TRY(end.synchronize());
  GPTQC_ASSIGN(factor.milliseconds, end.millisecondsSince(start));
  return factor;
}

Result<CudaSolver::Layer> CudaSolver::allocate(std::span<const float> weights, int64_t n,
                                               const CudaFactor &factor,
                                               const SolverOptions &options) const {
  const int64_t k = factor.facts.k, groups = factor.facts.order.groups;
  Layer layer;
  GPTQC_ASSIGN(layer.source, DeviceBuffer::upload(device, weights.data(), n * k * 4));
  GPTQC_ASSIGN(layer.weights, DeviceBuffer::allocate(device, n * k * 4));
  GPTQC_ASSIGN(layer.errors, DeviceBuffer::allocate(device, n * kSolverBlock * 4));
  GPTQC_ASSIGN(layer.codes, DeviceBuffer::allocate(device, n * k));
  GPTQC_ASSIGN(layer.scales, DeviceBuffer::allocate(device, groups * n * 4));
  GPTQC_ASSIGN(layer.zeros, DeviceBuffer::allocate(device, groups * n));
  GPTQC_ASSIGN(layer.loss, DeviceBuffer::allocateZeroed(device, n * 4));
  SolverArgs &args = layer.args;
  args.column = factor.column.address();
  args.group = factor.group.address();
  args.byGroup = factor.byGroup.address();
  args.starts = factor.starts.address();
  args.diagonal = factor.diagonal.address();
  args.upper = factor.upper.address();
  args.source = layer.source.address();
  args.weights = layer.weights.address();
  args.errors = layer.errors.address();
  args.codes = layer.codes.address();
  args.scales = layer.scales.address();
  args.zeros = layer.zeros.address();
  args.loss = layer.loss.address();
  args.n = n;
  args.k = k;
  args.maxCode = (1 << options.bits) - 1;
  args.sym = options.sym;
  args.mse = options.mse;
  args.stored = options.scales == ScaleMode::Stored;
  args.zeroFromOne = options.zeroFromOne;
  return layer;
}

Status CudaSolver::runBlocks(const CudaFactor &factor, const Layer &layer,
                             const SolverOptions &options) {
  const ColumnOrder &order = factor.facts.order;
  SolverArgs args = layer.args;
  const int64_t n = args.n, k = args.k;
  const auto grids = [&](int64_t group, int64_t count) {
    args.begin = group;
    return launch(findGrids, ceilDiv(n, kWarps), count, args);
  };
  GPTQC_TRY(launch(gatherWeights, ceilDiv(k, kThreads), std::min(n, kLargestGridY), args));
  if (order.staticGrids)
    for (int64_t group = 0; group < order.groups; group += kLargestGridY)
      GPTQC_TRY(grids(group, std::min(kLargestGridY, order.groups - group)));
  for (int64_t begin = 0; begin < k;) {
    const int64_t end = blockEnd(order, begin, options);
    for (int64_t i = begin; i < end && !order.staticGrids; ++i)
      if (const int64_t group = order.group[size_t(i)]; order.positionsOf(group).front() == i)
        GPTQC_TRY(grids(group, 1));
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

Result<double> CudaSolver::power(const CudaFactor &factor, const std::vector<float> &rows,
                                 int64_t count) {
  GPTQC_ASSIGN(const DeviceBuffer buffer, DeviceBuffer::upload(device, rows));
  GPTQC_TRY(blas->solveRight(count, factor.facts.k, factor.upper.address(), buffer.address()));
  GPTQC_TRY(stream.synchronize());
  GPTQC_ASSIGN(const std::vector<float> solved, buffer.download<float>());
  double sum = 0;
  for (float value : solved)
    sum += double(value) * value;
  return sum;
}

Result<LayerSolution> CudaSolver::collect(std::span<const float> weights, const CudaFactor &factor,
                                          const Layer &layer, const SolverOptions &options) {
  const ColumnOrder &order = factor.facts.order;
  const int64_t n = layer.args.n, k = layer.args.k;
  LayerSolution solution;
  solution.n = n;
  solution.k = k;
  solution.groups = order.groups;
  GPTQC_ASSIGN(solution.codes, layer.codes.download<uint8_t>());
  GPTQC_ASSIGN(solution.zeros, layer.zeros.download<uint8_t>());
  GPTQC_ASSIGN(solution.scales, layer.scales.download<float>());
  GPTQC_ASSIGN(const std::vector<float> rowLoss, layer.loss.download<float>());
  solution.groupIndex.resize(size_t(k));
  for (int64_t i = 0; i < k; ++i)
    solution.groupIndex[size_t(order.column[size_t(i)])] = order.group[size_t(i)];
  solution.damp = factor.facts.damp;
  solution.recovery = factor.facts.recovery;
  const RowSamples samples = RowSamples::take(weights, n, factor.facts, options);
  double after = 0;
  for (float loss : rowLoss)
    solution.loss += loss;
  for (int64_t sample = 0; sample < samples.rows; ++sample)
    after += rowLoss[size_t(RowSamples::rowOf(sample, samples.rows, n))];
  GPTQC_ASSIGN(const double signal, power(factor, samples.signal, samples.rows));
  GPTQC_ASSIGN(const double before, power(factor, samples.difference, samples.rows));
  if (signal > 0) {
    solution.errorBefore = std::sqrt(before / signal);
    solution.errorAfter = std::sqrt(after / signal);
  }
  return solution;
}

Result<LayerSolution> CudaSolver::solve(std::span<const float> weights, int64_t n, int64_t k,
                                        const CudaFactor &factor, const SolverOptions &options,
                                        double *milliseconds) {
  GPTQC_TRY(validate(options));
  GPTQC_TRY(checkLayer(weights, n, k, factor.facts, options));
  GPTQC_ASSIGN(const Layer layer, allocate(weights, n, factor, options));
  GPTQC_ASSIGN(Event start, Event::create(device));
  GPTQC_ASSIGN(Event end, Event::create(device));
  GPTQC_TRY(start.record(stream));
  GPTQC_TRY(runBlocks(factor, layer, options));
  GPTQC_TRY(end.record(stream));
  GPTQC_TRY(end.synchronize());
  if (milliseconds) {
    GPTQC_ASSIGN(*milliseconds, end.millisecondsSince(start));
  }
  GPTQC_ASSIGN(LayerSolution solution, collect(weights, factor, layer, options));
  if (isFinite(solution) || factor.facts.recovery == Recovery::Diagonal)
    return solution;
  Factor plain = diagonalFactor(factor.facts, options); // updates overflowed: none of them
  return solveLayer(weights, n, k, plain, options, Blas::best());
}

StageSolverFactory cudaStageSolver(CudaSolver &solver) {
  return [&solver](const Hessian &hessian) {
    return std::make_unique<CudaStageSolver>(solver, hessian);
  };
}

} // namespace gptqc
