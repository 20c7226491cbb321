// Blocks of columns: inside a block every worker takes kLanes rows through all columns; what the
// block changes in the rest of W is one matrix product.
#include "runtime/solver/Solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"
#include "runtime/solver/ColumnKernel.h"
#include "runtime/solver/Samples.h"

namespace gptqc {
namespace {

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

class Solver {
public:
  Solver(int64_t n, const Factor &factor, const SolverOptions &options, const Blas &blas,
         int threads)
      : n(n), k(factor.k), factor(factor), order(factor.order), options(options), blas(blas),
        threads(resolveThreads(threads)) {}

  LayerSolution run(std::span<const float> weights) {
    load(weights);
    solution.n = n;
    solution.k = k;
    solution.groups = order.groups;
    solution.codes.resize(size_t(k * n));
    solution.zeros.resize(size_t(order.groups * n));
    solution.scales.resize(size_t(order.groups * n));
    solution.groupIndex.resize(size_t(k));
    for (int64_t i = 0; i < k; ++i)
      solution.groupIndex[size_t(order.column[size_t(i)])] = order.group[size_t(i)];
    solution.damp = factor.damp;
    solution.recovery = factor.recovery;
    rowLoss.assign(size_t(n), 0.0);
    if (order.staticGrids)
      for (int64_t group = 0; group < order.groups; ++group)
        makeGrids(group);
    runBlocks();
    finishErrors(weights);
    return std::move(solution);
  }

private:
  /// W transposed into the order of quantization, dead columns 0.
  void load(std::span<const float> weights) {
    w.resize(size_t(k * n));
    constexpr int64_t kBlock = 64;
    parallelFor(ceilDiv(k, kBlock), threads, [&](int64_t block, int) {
      const int64_t end = std::min((block + 1) * kBlock, k);
      for (int64_t rows = 0; rows < n; rows += kBlock)
        for (int64_t i = block * kBlock; i < end; ++i) {
          const int64_t column = order.column[size_t(i)];
          const bool dead = !(factor.diagonal[size_t(column)] > 0);
          for (int64_t row = rows; row < std::min(rows + kBlock, n); ++row)
            w[size_t(i * n + row)] = dead ? 0 : weights[size_t(row * k + column)];
        }
    });
  }

  void runBlocks() {
    std::vector<std::unique_ptr<LaneBlock>> scratch;
    for (int worker = 0; worker < threads; ++worker)
      scratch.push_back(std::make_unique<LaneBlock>());
    std::vector<float> errors(size_t(kSolverBlock * n));
    for (int64_t begin = 0; begin < k;) {
      const int64_t end = blockEnd(order, begin, options), columns = end - begin;
      parallelFor(ceilDiv(n, kLanes), threads, [&](int64_t tile, int worker) {
        const int64_t row = tile * kLanes;
        runTile(begin, columns, row, int(std::min<int64_t>(kLanes, n - row)),
                *scratch[size_t(worker)], errors.data());
      });
      if (end < k) {
        const MatrixRef<const float> upper(factor.upper.data(), k, k);
        blas.gemm(-1.0f, upper.block(begin, end, columns, k - end), Transpose::Yes,
                  MatrixRef<const float>(errors.data(), columns, n), Transpose::No, 1.0f,
                  MatrixRef<float>(w.data() + end * n, k - end, n));
      }
      begin = end;
    }
  }

  void runTile(int64_t begin, int64_t columns, int64_t row, int lanes, LaneBlock &block,
               float *errors) {
    block.columns = int(columns);
    block.maxCode = float((1 << options.bits) - 1);
    block.upper = factor.upper.data() + begin * k + begin;
    block.stride = k;
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t position = begin + i, group = order.group[size_t(position)];
      if (!order.staticGrids && order.positionsOf(group).front() == position)
        makeGrids(group, row, lanes);
      std::copy_n(w.data() + position * n + row, lanes, block.weights[i].value);
      std::fill(block.weights[i].value + lanes, block.weights[i].value + kLanes, 0.0f);
      loadGrids(group, row, lanes, block.grids[i]);
    }
    quantizeBlock(block);
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t column = order.column[size_t(begin + i)];
      std::copy_n(block.codes[i], lanes, solution.codes.data() + column * n + row);
      std::copy_n(block.errors[i].value, lanes, errors + i * n + row);
    }
    for (int lane = 0; lane < lanes; ++lane)
      rowLoss[size_t(row + lane)] += block.loss.value[lane];
  }

  void makeGrids(int64_t group, int64_t row, int lanes) {
    const LaneGrid grid = findGrids(w.data() + row, n, lanes, order.positionsOf(group), options);
    for (int lane = 0; lane < lanes; ++lane) {
      const size_t at = size_t(group * n + row + lane);
      solution.scales[at] = grid.scale.value[lane];
      solution.zeros[at] = uint8_t(grid.zero.value[lane]);
    }
  }

  void makeGrids(int64_t group) {
    parallelFor(ceilDiv(n, kLanes), threads, [&](int64_t tile, int) {
      makeGrids(group, tile * kLanes, int(std::min<int64_t>(kLanes, n - tile * kLanes)));
    });
  }

  void loadGrids(int64_t group, int64_t row, int lanes, LaneGrid &grid) const {
    const size_t at = size_t(group * n + row);
    for (int lane = 0; lane < kLanes; ++lane) {
      grid.scale.value[lane] = lane < lanes ? solution.scales[at + size_t(lane)] : 1;
      grid.zero.value[lane] = lane < lanes ? float(solution.zeros[at + size_t(lane)]) : 0;
    }
  }

  /// ||D inverse(U)||^2 of D [K,rows].
  double power(std::vector<float> &d, int64_t rows) const {
    blas.trsm(Side::Left, Triangle::Upper, Transpose::Yes, 1.0f,
              MatrixRef<const float>(factor.upper.data(), k, k),
              MatrixRef<float>(d.data(), k, rows));
    double sum = 0;
    for (float value : d)
      sum += double(value) * value;
    return sum;
  }

  /// What the column loop summed up is the power of W - Q.
  void finishErrors(std::span<const float> weights) {
    RowSamples samples = RowSamples::take(weights, n, factor, options);
    double after = 0;
    for (double loss : rowLoss)
      solution.loss += loss;
    for (int64_t sample = 0; sample < samples.rows; ++sample)
      after += rowLoss[size_t(RowSamples::rowOf(sample, samples.rows, n))];
    const double signal = power(samples.signal, samples.rows);
    if (signal > 0) {
      solution.errorBefore = std::sqrt(power(samples.difference, samples.rows) / signal);
      solution.errorAfter = std::sqrt(after / signal);
    }
  }

  int64_t n, k;
  const Factor &factor;
  const ColumnOrder &order;
  const SolverOptions &options;
  const Blas &blas;
  int threads;
  std::vector<float> w; ///< [K,N] by position
  std::vector<double> rowLoss;
  LayerSolution solution;
};

} // namespace

int64_t blockEnd(const ColumnOrder &order, int64_t begin, const SolverOptions &options) {
  const int64_t end = std::min(begin + kSolverBlock, order.k());
  if (options.groupRefresh)
    for (int64_t i = begin + 1; i < end; ++i)
      if (order.group[size_t(i)] != order.group[size_t(i - 1)])
        return i;
  return end;
}

Status checkSizes(int64_t n, int64_t k, const Factor &factor) {
  if (factor.k != k)
    return invalidArgument("H is {0} x {0}, W has {1} columns", factor.k, k);
  if (n < 1 || k < 1)
    return invalidArgument("the weight is {} x {}; it needs rows and columns", n, k);
  return Status();
}

float largestWeight(const SolverOptions &options) {
  return options.scales == ScaleMode::F32 ? std::numeric_limits<float>::max()
                                          : 65504.0f * float((1 << options.bits) - 1) / 2;
}

Status checkLayer(std::span<const float> weights, int64_t n, int64_t k, const Factor &factor,
                  const SolverOptions &options) {
  GPTQC_TRY(checkSizes(n, k, factor));
  if (int64_t(weights.size()) != n * k)
    return invalidArgument("the weight has {} values, {} x {} are needed", weights.size(), n, k);
  const float largest = largestWeight(options);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column) {
      const float value = weights[size_t(row * k + column)];
      if (!std::isfinite(value))
        return invalidArgument("row {} of the weight holds a value that is not finite", row);
      if (std::abs(value) > largest)
        return invalidArgument("row {} of the weight reaches {}, too large for an f16 scale", row,
                               value);
    }
  return Status();
}

bool isFinite(const LayerSolution &solution) {
  return std::isfinite(solution.loss) &&
         std::all_of(solution.scales.begin(), solution.scales.end(),
                     [](float scale) { return std::isfinite(scale); });
}

std::vector<float> LayerSolution::dequantize() const {
  constexpr int64_t kRows = 32; // at a time, so that both sides stay in the cache
  std::vector<float> q(size_t(n * k));
  for (int64_t first = 0; first < n; first += kRows)
    for (int64_t column = 0; column < k; ++column) {
      const int64_t group = groupIndex[size_t(column)];
      for (int64_t row = first; row < std::min(n, first + kRows); ++row) {
        const size_t grid = size_t(group * n + row);
        q[size_t(row * k + column)] =
            scales[grid] * float(int(codes[size_t(column * n + row)]) - int(zeros[grid]));
      }
    }
  return q;
}

Result<LayerSolution> solveLayer(std::span<const float> weights, int64_t n, int64_t k,
                                 const Factor &factor, const SolverOptions &options,
                                 const Blas &blas, int threads) {
  GPTQC_TRY(validate(options));
  GPTQC_TRY(checkLayer(weights, n, k, factor, options));
  LayerSolution solution = Solver(n, factor, options, blas, threads).run(weights);
  if (!isFinite(solution)) {
    // Updates overflowed: without propagation they cannot.
    const Factor plain = diagonalFactor(factor, options);
    solution = Solver(n, plain, options, blas, threads).run(weights);
  }
  return solution;
}

Result<LayerSolution> solveLayer(std::span<const float> weights, int64_t n, int64_t k,
                                 const Hessian &hessian, const SolverOptions &options,
                                 const Blas &blas, int threads) {
  GPTQC_TRY(validate(options));
  GPTQC_TRY(validate(hessian));
  return solveLayer(weights, n, k, factorHessian(hessian, options, blas), options, blas, threads);
}

Result<QuantizedMatrix> toMatrix(const LayerSolution &solution, const SolverOptions &options,
                                 DType activation) {
  std::vector<uint16_t> scales;
  scales.reserve(solution.scales.size());
  for (float scale : solution.scales)
    scales.push_back(floatToHalf(scale));
  LayerCodes layer;
  layer.bits = options.bits;
  layer.n = solution.n;
  layer.k = solution.k;
  layer.groupSize = options.groupSize;
  layer.act = layer.out = activation;
  layer.codes = solution.codes;
  if (!options.sym)
    layer.zeros = solution.zeros;
  layer.scales = scales;
  layer.groupIndex = solution.groupIndex;
  return layerFromCodes(layer);
}

} // namespace gptqc
