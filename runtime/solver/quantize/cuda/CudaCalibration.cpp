// Sweeps on the GPU; a Hessian is finished on the host, where the solver takes it.
#include "runtime/solver/quantize/cuda/CudaCalibration.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

/// Tokens that go through a block together.
constexpr int64_t kSweepTokens = 8192;

/// X^T X of the inputs of one stage.
struct CudaSum {
  int64_t k = 0, tokens = 0;
  DeviceBuffer values; ///< [K,K]

  static Result<CudaSum> create(const Device &device, int64_t k) {
    CudaSum sum;
    sum.k = k;
    GPTQC_ASSIGN(sum.values, DeviceBuffer::allocateZeroed(device, k * k * 4));
    return sum;
  }

  Status add(const CudaForward &forward, const DeviceMatrix &x) {
    tokens += x.rows;
    return forward.blas().addGram(forward.type(), x, values.address());
  }

  Result<Hessian> finish(const Stream &stream) {
    GPTQC_TRY(stream.synchronize());
    Hessian hessian{k, tokens, {}};
    GPTQC_ASSIGN(hessian.values, values.download<float>());
    for (int64_t i = 0; i < k; ++i)
      if (!std::isfinite(hessian.values[size_t(i * k + i)]))
        return invalidArgument("input channel {} is NaN or infinite for some calibration token", i);
    const float factor = 2.0f / float(tokens);
    const int threads = resolveThreads(0);
    parallelFor(k, threads, [&](int64_t row, int) {
      for (int64_t i = row * k; i < (row + 1) * k; ++i)
        hessian.values[size_t(i)] *= factor;
    });
    mirrorUpper({hessian.values.data(), k, k}, threads);
    return hessian;
  }
};

class CudaCalibration : public Calibration {
public:
  explicit CudaCalibration(std::unique_ptr<CudaForward> forward) : forward(std::move(forward)) {}

  std::string name() const override { return device().target().print(); }

  Status begin(const TokenRows &calibration) override {
    const Timed timed(forwardSeconds);
    length = calibration.length;
    rows = calibration.rows * length;
    GPTQC_ASSIGN(const Matrix embedded, forward->model().embed(calibration.ids, {length}));
    GPTQC_ASSIGN(residual, DeviceBuffer::upload(device(), embedded.values));
    GPTQC_ASSIGN(copy,
                 DeviceBuffer::allocate(device(), std::min(sweepTokens(), rows) * rowBytes()));
    return Status();
  }

  Status enter(const Block &entered) override {
    const Timed timed(forwardSeconds);
    host = &entered;
    GPTQC_ASSIGN(block, forward->upload(entered));
    return Status();
  }

  Result<StageHessians> collect(int first, int last,
                                const std::array<bool, kStages> &wanted) override {
    std::array<std::optional<CudaSum>, kStages> sums;
    for (int stage = first; stage < last; ++stage)
      if (wanted[size_t(stage)]) {
        const ModelConfig &config = forward->model().config();
        GPTQC_ASSIGN(CudaSum sum,
                     CudaSum::create(device(), config.columns(rolesOf(config, stage).front())));
        sums[size_t(stage)].emplace(std::move(sum));
      }
    {
      const Timed timed(forwardSeconds); // the sums run with it: the host does not wait
      for (int64_t row = 0; row < rows; row += sweepTokens())
        GPTQC_TRY(addPart(row, last, sums));
      GPTQC_TRY(forward->stream().synchronize());
    }
    const Timed timed(hessianSeconds);
    StageHessians hessians;
    for (size_t stage = 0; stage < sums.size(); ++stage)
      if (sums[stage]) {
        Result<Hessian> sum = sums[stage]->finish(forward->stream());
        GPTQC_TRY(sum.status().withContext(
            host->at(rolesOf(forward->model().config(), int(stage)).front()).name));
        hessians[stage] = std::move(*sum);
        sums[stage].reset();
      }
    return hessians;
  }

  Status replace(Role role) override {
    const Timed timed(forwardSeconds);
    GPTQC_ASSIGN(block.linears[size_t(role)], forward->upload(host->at(role)));
    return Status();
  }

  Status leave() override {
    const Timed timed(forwardSeconds);
    for (int64_t row = 0; row < rows; row += sweepTokens()) {
      CudaBlockPass pass(*forward, block, address(row), count(row), length);
      GPTQC_TRY(pass.begin());
      while (!pass.done())
        GPTQC_TRY(pass.advance());
    }
    GPTQC_TRY(forward->stream().synchronize()); // before the weights go
    drop();
    return Status();
  }

  void drop() override {
    block = CudaBlock();
    host = nullptr;
  }

  Result<Hessian> headHessian(const OutputHead &head) override {
    const Timed timed(hessianSeconds);
    const int64_t hidden = forward->model().config().hidden;
    GPTQC_ASSIGN(const CudaNorm norm, forward->upload(head.norm));
    GPTQC_ASSIGN(const DeviceBuffer input,
                 DeviceBuffer::allocate(device(), std::min(sweepTokens(), rows) * hidden * 2));
    GPTQC_ASSIGN(CudaSum sum, CudaSum::create(device(), hidden));
    for (int64_t row = 0; row < rows; row += sweepTokens()) {
      const DeviceMatrix x = {input.address(), count(row), hidden, hidden};
      GPTQC_TRY(forward->kernels().norm(address(row), {}, norm, x, x.rows, forward->stream()));
      GPTQC_TRY(sum.add(*forward, x));
    }
    return sum.finish(forward->stream());
  }

private:
  const Device &device() const { return forward->stream().device(); }
  int64_t sweepTokens() const { return std::max<int64_t>(1, kSweepTokens / length) * length; }
  int64_t count(int64_t row) const { return std::min(sweepTokens(), rows - row); }
  int64_t rowBytes() const { return forward->model().config().hidden * int64_t(sizeof(float)); }
  CuDevicePtr address(int64_t row) const { return residual.address() + uint64_t(row * rowBytes()); }

  Status addPart(int64_t row, int last, std::array<std::optional<CudaSum>, kStages> &sums) {
    GPTQC_TRY(copy.copyFrom(address(row), count(row) * rowBytes(), forward->stream()));
    CudaBlockPass pass(*forward, block, copy.address(), count(row), length);
    GPTQC_TRY(pass.begin());
    for (int stage = 0; stage < last; ++stage) {
      if (sums[size_t(stage)])
        GPTQC_TRY(sums[size_t(stage)]->add(*forward, pass.input()));
      if (stage + 1 < last)
        GPTQC_TRY(pass.advance());
    }
    return Status();
  }

  std::unique_ptr<CudaForward> forward;
  const Block *host = nullptr;
  CudaBlock block;
  int64_t rows = 0, length = 0;
  DeviceBuffer residual; ///< [rows, hidden] fp32: the input of the current block
  DeviceBuffer copy;     ///< of a part
};

} // namespace

CalibrationFactory cudaCalibration(const Device &device, const KernelImage &image,
                                   const std::string &cublas) {
  return [device, image, cublas](const Model &model) -> Result<std::unique_ptr<Calibration>> {
    GPTQC_ASSIGN(std::unique_ptr<CudaForward> forward,
                 CudaForward::create(model, device, image, cublas));
    return std::unique_ptr<Calibration>(std::make_unique<CudaCalibration>(std::move(forward)));
  };
}

} // namespace gptqc
