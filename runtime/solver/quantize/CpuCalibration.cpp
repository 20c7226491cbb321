// A sweep of all rows through the block collects the inputs of its linear layers, on copies;
// another one makes the input of the next block.
#include "runtime/solver/quantize/Calibration.h"

#include <algorithm>

#include "runtime/cpu/Dequantize.h"

namespace gptqc {
namespace {

/// Tokens that go through a block together: enough for the matrix products to be large.
constexpr int64_t kCpuSweepTokens = 4096;

class CpuCalibration : public Calibration {
public:
  CpuCalibration(const Model &model, const CpuContext &cpu) : model(model), cpu(cpu) {}

  std::string name() const override { return cpu.blas.name(); }

  Status begin(const TokenRows &rows) override {
    const Timed timed(seconds.forward);
    length = rows.length;
    GPTQC_ASSIGN(x, model.embed(rows.ids, {length}));
    return Status();
  }

  Status enter(int64_t index) override {
    const Timed timed(seconds.load);
    GPTQC_ASSIGN(block, model.loadBlock(index, cpu.threads));
    return Status();
  }

  Status collect(int first, int last, const std::array<bool, kStages> &wanted) override {
    std::array<std::optional<HessianSum>, kStages> sums;
    for (int stage = first; stage < last; ++stage)
      if (wanted[size_t(stage)]) {
        const Role role = rolesOf(model.config(), stage).front();
        sums[size_t(stage)].emplace(model.config().columns(role), cpu.blas);
      }
    for (int64_t row = 0; row < x.rows; row += sweepTokens())
      addPart(part(row), last, sums);
    factor.reset();
    for (size_t stage = 0; stage < sums.size(); ++stage) {
      hessians[stage].reset();
      if (!sums[stage])
        continue;
      const Timed timed(seconds.hessian);
      Result<Hessian> sum = sums[stage]->finish();
      GPTQC_TRY(
          sum.status().withContext(block.at(rolesOf(model.config(), int(stage)).front()).name));
      hessians[stage] = std::move(*sum);
      sums[stage].reset();
    }
    return Status();
  }

  Result<LayerSolution> solve(Role role, const SolverOptions &options) override {
    const int stage = stageOf(role);
    GPTQC_TRY(makeFactor(*hessians[size_t(stage)], stage, options));
    const Timed timed(seconds.solve);
    Matrix &weight = block.at(role).weight;
    GPTQC_ASSIGN(LayerSolution solution, solveLayer(weight.values, weight.rows, weight.columns,
                                                    *factor, options, cpu.blas, cpu.threads));
    weight.values = solution.dequantize();
    return solution;
  }

  Status replace(Role role, const QuantizedMatrix &matrix) override {
    block.at(role).weight = dequantize(matrix);
    return Status();
  }

  Status leave() override {
    const Timed timed(seconds.forward);
    for (int64_t row = 0; row < x.rows; row += sweepTokens())
      GPTQC_TRY(runBlock(cpu, model.config(), block, {length}, part(row)));
    return Status();
  }

  void drop() override {}

  Result<LayerSolution> solveHead(const OutputHead &head, const SolverOptions &options) override {
    Hessian hessian;
    {
      const Timed timed(seconds.hessian);
      HessianSum sum(x.columns, cpu.blas);
      applyNorm(cpu, model.config().norm, model.config().normEpsilon, head.norm, x.ref(), x.ref());
      sum.add(x.ref());
      GPTQC_ASSIGN(hessian, sum.finish());
    }
    factor.reset();
    GPTQC_TRY(makeFactor(hessian, kStages, options));
    const Timed timed(seconds.solve);
    const Matrix &weight = head.linear.weight;
    return solveLayer(weight.values, weight.rows, weight.columns, *factor, options, cpu.blas,
                      cpu.threads);
  }

private:
  int64_t sweepTokens() const { return std::max<int64_t>(1, kCpuSweepTokens / length) * length; }
  MatrixRef<float> part(int64_t row) {
    return x.ref().block(row, 0, std::min(sweepTokens(), x.rows - row), x.columns);
  }

  Status makeFactor(const Hessian &hessian, int stage, const SolverOptions &options) {
    GPTQC_TRY(validate(options));
    if (factor && factorStage == stage && shareFactor(options, factorOptions))
      return Status();
    const Timed timed(seconds.factor);
    factor = factorHessian(hessian, options, cpu.blas);
    factorStage = stage;
    factorOptions = options;
    return Status();
  }

  void addPart(MatrixRef<const float> input, int last,
               std::array<std::optional<HessianSum>, kStages> &sums) {
    Matrix copy(input.rows, input.columns);
    std::copy_n(input.data, copy.values.size(), copy.values.begin());
    std::optional<BlockPass> pass;
    {
      const Timed timed(seconds.forward);
      pass.emplace(cpu, model.config(), block, BatchShape{length}, copy.ref());
    }
    for (int stage = 0; stage < last; ++stage) {
      if (sums[size_t(stage)]) {
        const Timed timed(seconds.hessian);
        sums[size_t(stage)]->add(pass->input());
      }
      const Timed timed(seconds.forward);
      if (stage + 1 < last)
        pass->advance();
    }
  }

  const Model &model;
  const CpuContext &cpu;
  Block block;
  int64_t length = 0;
  Matrix x; ///< the input of the current block, [rows * length, hidden]
  std::array<std::optional<Hessian>, kStages> hessians;
  std::optional<Factor> factor; ///< of one stage, with these options
  int factorStage = 0;
  SolverOptions factorOptions;
};

} // namespace

Timed::Timed(double &total) : total(total), start(std::chrono::steady_clock::now()) {}
Timed::~Timed() {
  total += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

CalibrationFactory cpuCalibration(const CpuContext &cpu) {
  return [&cpu](const Model &model) -> Result<std::unique_ptr<Calibration>> {
    return std::unique_ptr<Calibration>(std::make_unique<CpuCalibration>(model, cpu));
  };
}

} // namespace gptqc
