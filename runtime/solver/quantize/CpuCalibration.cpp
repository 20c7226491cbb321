// A sweep of all rows through the block collects the inputs of its linear layers, on copies;
// another one makes the input of the next block.
#include "runtime/solver/quantize/Calibration.h"

#include <algorithm>

namespace gptqc {
namespace {

/// Tokens that go through a block together: enough for the matrix products to be large.
constexpr int64_t kSweepTokens = 4096;

class CpuCalibration : public Calibration {
public:
  CpuCalibration(const Model &model, const CpuContext &cpu) : model(model), cpu(cpu) {}

  std::string name() const override { return cpu.blas.name(); }

  Status begin(const TokenRows &rows) override {
    const Timed timed(forwardSeconds);
    length = rows.length;
    GPTQC_ASSIGN(x, model.embed(rows.ids, {length}));
    return Status();
  }

  Status enter(const Block &entered) override {
    block = &entered;
    return Status();
  }

  Result<StageHessians> collect(int first, int last,
                                const std::array<bool, kStages> &wanted) override {
    std::array<std::optional<HessianSum>, kStages> sums;
    for (int stage = first; stage < last; ++stage)
      if (wanted[size_t(stage)]) {
        const Role role = rolesOf(model.config(), stage).front();
        sums[size_t(stage)].emplace(model.config().columns(role), cpu.blas);
      }
    for (int64_t row = 0; row < x.rows; row += sweepTokens())
      addPart(part(row), last, sums);
    StageHessians hessians;
    for (size_t stage = 0; stage < sums.size(); ++stage)
      if (sums[stage]) {
        const Timed timed(hessianSeconds);
        Result<Hessian> sum = sums[stage]->finish();
        GPTQC_TRY(
            sum.status().withContext(block->at(rolesOf(model.config(), int(stage)).front()).name));
        hessians[stage] = std::move(*sum);
        sums[stage].reset();
      }
    return hessians;
  }

  Status replace(Role) override { return Status(); }

  Status leave() override {
    const Timed timed(forwardSeconds);
    for (int64_t row = 0; row < x.rows; row += sweepTokens())
      GPTQC_TRY(runBlock(cpu, model.config(), *block, {length}, part(row)));
    return Status();
  }

  void drop() override {}

  Result<Hessian> headHessian(const OutputHead &head) override {
    const Timed timed(hessianSeconds);
    HessianSum sum(x.columns, cpu.blas);
    applyNorm(cpu, model.config().norm, model.config().normEpsilon, head.norm, x.ref(), x.ref());
    sum.add(x.ref());
    return sum.finish();
  }

private:
  int64_t sweepTokens() const { return std::max<int64_t>(1, kSweepTokens / length) * length; }
  MatrixRef<float> part(int64_t row) {
    return x.ref().block(row, 0, std::min(sweepTokens(), x.rows - row), x.columns);
  }

  void addPart(MatrixRef<const float> input, int last,
               std::array<std::optional<HessianSum>, kStages> &sums) {
    Matrix copy(input.rows, input.columns);
    std::copy_n(input.data, copy.values.size(), copy.values.begin());
    std::optional<BlockPass> pass;
    {
      const Timed timed(forwardSeconds);
      pass.emplace(cpu, model.config(), *block, BatchShape{length}, copy.ref());
    }
    for (int stage = 0; stage < last; ++stage) {
      if (sums[size_t(stage)]) {
        const Timed timed(hessianSeconds);
        sums[size_t(stage)]->add(pass->input());
      }
      const Timed timed(forwardSeconds);
      if (stage + 1 < last)
        pass->advance();
    }
  }

  const Model &model;
  const CpuContext &cpu;
  const Block *block = nullptr;
  int64_t length = 0;
  Matrix x; ///< the input of the current block, [rows * length, hidden]
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
