// Sweeps on the GPU; the next block is read and uploaded while this one is worked on.
#include "runtime/solver/quantize/cuda/CudaCalibration.h"

#include <algorithm>
#include <future>

#include "runtime/cpu/Dequantize.h"
#include "runtime/solver/quantize/cuda/CudaResidual.h"

namespace gptqc {
namespace {

/// Tokens that go through a block together.
constexpr int64_t kGpuSweepTokens = 8192;

/// What the device spends between pairs of points of a stream.
class DeviceTimer {
public:
  Status start(const Stream &stream) {
    if (used == pairs.size()) {
      GPTQC_ASSIGN(Event first, Event::create(stream.device()));
      GPTQC_ASSIGN(Event second, Event::create(stream.device()));
      pairs.emplace_back(std::move(first), std::move(second));
    }
    return pairs[used].first.record(stream);
  }
  Status stop(const Stream &stream) { return pairs[used++].second.record(stream); }
  /// Since the last call; the stream has been waited for.
  Result<double> seconds() {
    double sum = 0;
    for (size_t i = 0; i < used; ++i) {
      GPTQC_ASSIGN(const float milliseconds, pairs[i].second.millisecondsSince(pairs[i].first));
      sum += milliseconds;
    }
    used = 0;
    return sum / 1000;
  }

private:
  std::vector<std::pair<Event, Event>> pairs;
  size_t used = 0;
};

class CudaCalibration : public Calibration {
public:
  CudaCalibration(CudaSolver &solver, std::unique_ptr<CudaForward> forward)
      : solver(solver), forward(std::move(forward)) {}

  std::string name() const override { return device().target().print(); }
  int64_t peakDeviceBytes() const override { return peak; }

  Status begin(const TokenRows &calibration) override {
    const Timed timed(seconds.forward);
    length = calibration.length;
    rows = calibration.rows * length;
    GPTQC_ASSIGN(residual, CudaResidual::create(device(), rows, config().hidden,
                                                std::min(sweepTokens(), rows)));
    for (int64_t row = 0; row < calibration.rows; ++row) {
      const Result<Matrix> embedded = model().embed(calibration.part(row, 1), {length});
      GPTQC_TRY(embedded.status().withContext(fmt::format("calibration row {}", row)));
      GPTQC_TRY(residual.set(row * length, embedded->values));
    }
    return Status();
  }

  Status enter(int64_t index) override {
    const Timed timed(seconds.load);
    block = CudaBlock();
    if (!next.valid() || nextIndex != index)
      read(index);
    GPTQC_ASSIGN(block, next.get());
    if (index + 1 < config().blocks)
      read(index + 1);
    return Status();
  }

  Status collect(int first, int last, const std::array<bool, kStages> &wanted) override {
    const auto isWanted = [&](int stage) { return stage >= first && wanted[size_t(stage)]; };
    factorStage = -1;
    double hessian = 0, all = 0;
    {
      const Timed timed(all);
      for (int stage = first; stage < last; ++stage)
        if (isWanted(stage))
          GPTQC_TRY(clear(sums[size_t(stage)], config().columns(rolesOf(config(), stage).front())));
      for (int64_t row = 0; row < rows; row += sweepTokens()) {
        GPTQC_ASSIGN(const CuDevicePtr x, residual.copy(row, count(row), stream()));
        CudaBlockPass pass(*forward, block, x, count(row), length);
        GPTQC_TRY(pass.begin());
        for (int stage = 0; stage < last; ++stage) {
          if (isWanted(stage))
            GPTQC_TRY(add(pass.input(), sums[size_t(stage)]));
          if (stage + 1 < last)
            GPTQC_TRY(pass.advance());
        }
      }
      GPTQC_TRY(stream().synchronize());
      GPTQC_ASSIGN(hessian, timer.seconds());
    }
    seconds.hessian += hessian;
    seconds.forward += all - hessian;
    return watchMemory();
  }

  Result<LayerSolution> solve(Role role, const SolverOptions &options) override {
    const int stage = stageOf(role);
    GPTQC_TRY(makeFactor(sums[size_t(stage)], config().columns(role), stage, options));
    const Timed timed(seconds.solve);
    const CudaLinear &linear = block.at(role);
    const CudaWeights quantized = {linear.weight.address(), linear.n, linear.k,
                                   elementTypeOf(forward->type())};
    const TensorRef &stored =
        *model().folder().find(model().moduleName(block.index, role) + ".weight");
    CudaWeights weights = quantized;
    DeviceBuffer unrounded; // what the file holds, where that is not what the model computes with
    if (stored.info->type != quantized.type) {
      const std::span<const uint8_t> bytes = stored.bytes();
      GPTQC_ASSIGN(unrounded, DeviceBuffer::upload(device(), bytes.data(), int64_t(bytes.size())));
      weights.data = unrounded.address();
      weights.type = stored.info->type;
    }
    double milliseconds = 0;
    Result<LayerSolution> solution =
        solver.solve(weights, factor, options, &quantized, &milliseconds);
    seconds.columns += milliseconds / 1000;
    GPTQC_TRY(watchMemory());
    return solution;
  }

  Status replace(Role role, const QuantizedMatrix &matrix) override {
    LinearWeights host;
    host.weight = dequantize(matrix);
    GPTQC_ASSIGN(CudaLinear linear, forward->upload(host));
    block.linears[size_t(role)].weight = std::move(linear.weight);
    return Status();
  }

  Status leave() override {
    const Timed timed(seconds.forward);
    for (int64_t row = 0; row < rows; row += sweepTokens()) {
      GPTQC_ASSIGN(const CuDevicePtr x, residual.open(row, count(row), stream()));
      CudaBlockPass pass(*forward, block, x, count(row), length);
      GPTQC_TRY(pass.begin());
      while (!pass.done())
        GPTQC_TRY(pass.advance());
      GPTQC_TRY(residual.keep(row, count(row), stream()));
    }
    return stream().synchronize(); // before the weights go
  }

  void drop() override {}

  Result<LayerSolution> solveHead(const OutputHead &head, const SolverOptions &options) override {
    const int64_t hidden = config().hidden;
    CudaSum sum;
    {
      const Timed timed(seconds.hessian);
      GPTQC_ASSIGN(const CudaNorm norm, forward->upload(head.norm));
      GPTQC_ASSIGN(const DeviceBuffer input,
                   DeviceBuffer::allocate(device(), std::min(sweepTokens(), rows) * hidden * 2));
      GPTQC_TRY(clear(sum, hidden));
      for (int64_t row = 0; row < rows; row += sweepTokens()) {
        GPTQC_ASSIGN(const CuDevicePtr rest, residual.open(row, count(row), stream()));
        const DeviceMatrix x = {input.address(), count(row), hidden, hidden};
        GPTQC_TRY(forward->kernels().norm(rest, {}, norm, x, x.rows, stream()));
        GPTQC_TRY(forward->blas().addGram(forward->type(), x, sum.address()));
      }
      GPTQC_TRY(stream().synchronize());
    }
    factorStage = -1;
    GPTQC_TRY(makeFactor(sum, hidden, kStages, options));
    const Timed timed(seconds.solve);
    const Matrix &weight = head.linear.weight;
    return solver.solve(weight.values, weight.rows, weight.columns, factor, options);
  }

private:
  using CudaSum = DeviceBuffer; ///< X^T X of the inputs of a stage: [K,K], the lower triangle

  const Device &device() const { return forward->stream().device(); }
  const Stream &stream() const { return forward->stream(); }
  const Model &model() const { return forward->model(); }
  const ModelConfig &config() const { return model().config(); }
  int64_t sweepTokens() const { return std::max<int64_t>(1, kGpuSweepTokens / length) * length; }
  int64_t count(int64_t row) const { return std::min(sweepTokens(), rows - row); }

  /// Starts to read a block, on another thread where there is one.
  void read(int64_t index) {
    nextIndex = index;
    next = std::async(
        [source = forward.get(), index] { return source->loadBlock(index, 0, nullptr); });
  }

  Status clear(CudaSum &sum, int64_t k) {
    GPTQC_TRY(sum.reserve(device(), k * k * 4));
    return sum.fill(0, stream());
  }

  Status add(const DeviceMatrix &x, const CudaSum &sum) {
    GPTQC_TRY(timer.start(stream()));
    GPTQC_TRY(forward->blas().addGram(forward->type(), x, sum.address()));
    return timer.stop(stream());
  }

  Status makeFactor(const CudaSum &sum, int64_t k, int stage, const SolverOptions &options) {
    GPTQC_TRY(validate(options));
    if (factorStage == stage && shareFactor(options, factorOptions))
      return Status();
    const Timed timed(seconds.factor);
    factorStage = -1;
    GPTQC_ASSIGN(factor, solver.factor(CudaHessian{k, sum.address(), 2.0f / float(rows)}, options,
                                       std::move(factor)));
    factorStage = stage;
    factorOptions = options;
    return Status();
  }

  Status watchMemory() {
    GPTQC_ASSIGN(const int64_t free, device().freeBytes());
    peak = std::max(peak, device().info().memoryBytes - free);
    return Status();
  }

  CudaSolver &solver;
  std::unique_ptr<CudaForward> forward;
  CudaBlock block;
  std::future<Result<CudaBlock>> next; ///< block `nextIndex`, or not valid
  int64_t nextIndex = 0;
  int64_t rows = 0, length = 0, peak = 0;
  CudaResidual residual; ///< the input of the current block
  std::array<CudaSum, kStages> sums;
  DeviceTimer timer;
  CudaFactor factor; ///< of one stage, with these options
  int factorStage = -1;
  SolverOptions factorOptions;
};

} // namespace

CalibrationFactory cudaCalibration(CudaSolver &solver, const Device &device,
                                   const KernelImage &image, const std::string &cublas) {
  return
      [&solver, device, image, cublas](const Model &model) -> Result<std::unique_ptr<Calibration>> {
        GPTQC_ASSIGN(std::unique_ptr<CudaForward> forward,
                     CudaForward::create(model, device, image, cublas));
        return std::unique_ptr<Calibration>(
            std::make_unique<CudaCalibration>(solver, std::move(forward)));
      };
}

} // namespace gptqc
